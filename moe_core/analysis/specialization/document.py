"""The findings of a run as one JSON document, and as plain lines."""

from typing import Any

import pandas as pd

from moe_core.analysis.json_rows import json_rows
from moe_core.analysis.specialization.expert_clusters import ExpertClusters
from moe_core.analysis.specialization.names import Words, feature_name, no_words
from moe_core.analysis.specialization.report import Specialization, domain_rows, token_rows
from moe_core.analysis.specialization.token_clusters import (
    TokenClusters,
    characteristic_experts,
    common_features,
)

MOST_LINES = 20
TOP = 5


def specialization_document(
    found: Specialization, partners: pd.DataFrame, agreement: pd.DataFrame, experts: ExpertClusters | None,
    tokens: TokenClusters | None,
) -> dict[str, Any]:  # fmt: skip
    """`run_id`, `finding`, `domains[]`, `tokens[]`, `partners[]`, `agreement[]`, `clusters`, ...; every estimate with
    its interval and n."""
    words = words_of(found)
    return {
        "run_id": found.run_id, "finding": found.finding.text(), "documents": found.documents,
        "tested": found.n_tested, "found_on_first_half": found.n_found, "called": found.n_called,
        "notes": [reason.text() for reason in (found.domains_reason, found.vocabulary_reason) if reason is not None],
        "sample": {
            "decisions": found.sample.n_decisions, "of_decisions": found.sample.n_run_decisions,
            "share": found.sample.share, "documents": found.sample.n_documents, "tokens": found.sample.n_tokens,
            "words_from": None if found.words is None else found.words.source,
        },
        "experts": [
            {"layer": layer, "expert_id": expert, "name": name.text()}
            for (layer, expert), name in sorted(found.names.items())
        ],
        "domains": finding_rows(domain_rows(found), words), "tokens": finding_rows(token_rows(found), words),
        "partners": _intervals(partners), "agreement": _intervals(agreement),
        "clusters": {"experts": _expert_clusters(experts, words), "tokens": _token_clusters(found, tokens, words)},
    }  # fmt: skip


def words_of(found: Specialization) -> Words:
    """token id -> piece, empty where unknown."""
    vocabulary = found.words
    return no_words if vocabulary is None else (lambda token_id: vocabulary.pieces.get(token_id, ""))


def finding_rows(frame: pd.DataFrame, words: Words = no_words) -> list[dict[str, Any]]:
    """Rows of `Calls.frame` as JSON: intervals as pairs, what was found again on the held-out half beside it."""
    rows = []
    for row in json_rows(frame):
        low, high, name = row.pop("low"), row.pop("high"), feature_name(row["kind"], row["value"], words)
        held = {key: row.pop(f"held_{key}") for key in ("lift", "low", "high", "n", "documents")}
        row["chance"] = [row.pop("chance_low"), row.pop("chance_high")]
        row["held_out"] = {
            "lift": held["lift"], "interval": [held["low"], held["high"]], "n": held["n"],
            "documents": held["documents"],
        }  # fmt: skip
        rows.append({**row, "name": name.text(), "interval": [low, high]})
    return rows


def specialization_lines(found: Specialization, table: Any) -> list[str]:
    """What the command line prints; `table` lays out columns and rows."""
    words = words_of(found)
    lines = [f"Run {found.run_id}", found.finding.text(), ""]
    lines += [reason.text() for reason in (found.domains_reason, found.vocabulary_reason) if reason is not None]
    called = found.called
    if len(called):
        head = ("expert", "for", "lift", "95 % interval", "n tokens", "documents")
        rows = [
            (
                f"{row.layer}:{row.expert_id}", feature_name(row.kind, row.value, words).text(),
                f"{row.held_lift:.2f}x", f"{row.held_low:.2f} to {row.held_high:.2f}", f"{row.held_n:,}",
                f"{row.held_documents:,}",
            )
            for row in called.head(MOST_LINES).itertuples()
        ]  # fmt: skip
        lines += [*table(head, rows), ""]
        if len(called) > MOST_LINES:
            lines.append(f"and {len(called) - MOST_LINES:,} more; --json has them all")
    lines.append(
        f"{found.n_tested:,} cells tested, {found.n_found:,} found on the first half of the documents, "
        f"{found.n_called:,} found again on the second (the numbers shown are of the second half)."
    )
    lines.append(
        f"Words and positions from {found.sample.n_decisions:,} of {found.sample.n_run_decisions:,} decisions, "
        f"{found.sample.n_documents:,} documents."
    )
    return lines


def _intervals(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for row in json_rows(frame):
        low, high = row.pop("low"), row.pop("high")
        rows.append({**row, "interval": None if low is None else [low, high]})
    return rows


def _expert_clusters(clusters: ExpertClusters | None, words: Words) -> dict[str, Any]:
    if clusters is None:
        return {"stable": False, "n_clusters": 0, "curve": [], "members": []}
    members = []
    for number, part in clusters.experts.groupby("cluster"):
        typical = clusters.typical(int(str(number)))
        members.append({
            "cluster": int(str(number)), "n": len(part),
            "experts": part[["layer", "expert_id"]].to_numpy().tolist(),
            "typical": [{"name": feature_name(*feature, words).text(), "lift": lift} for feature, lift in typical],
        })  # fmt: skip
    clustering = clusters.clustering
    return {
        "stable": clustering.stable, "n_clusters": clustering.n_clusters, "curve": json_rows(clustering.curve),
        "members": members if clustering.stable else [],
    }  # fmt: skip


def _token_clusters(found: Specialization, clusters: TokenClusters | None, words: Words) -> dict[str, Any]:
    if clusters is None:
        return {"stable": False, "n_clusters": 0, "curve": [], "members": []}
    members = []
    for number in range(clusters.clustering.n_clusters if clusters.clustering.stable else 0):
        typical = common_features(clusters.label_T, number, found.tokens).head(TOP)
        experts = characteristic_experts(found.sample, clusters.label_T, number).head(TOP)
        members.append({
            "cluster": number, "n": int((clusters.label_T == number).sum()),
            "typical": [
                {"name": feature_name(row.kind, row.value, words).text(), "lift": row.lift, "n": row.n}
                for row in typical.itertuples()
            ],
            "experts": json_rows(experts),
        })  # fmt: skip
    clustering = clusters.clustering
    return {
        "stable": clustering.stable, "n_clusters": clustering.n_clusters, "curve": json_rows(clustering.curve),
        "members": members,
    }  # fmt: skip

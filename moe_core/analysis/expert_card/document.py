"""An expert's card as one JSON document, and as plain lines."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from moe_core.analysis.ablation import Ablation
from moe_core.analysis.expert_card.card import ExpertCard
from moe_core.analysis.json_rows import json_rows
from moe_core.analysis.specialization.names import Words, feature_name, no_words

NOT_MEASURED = (
    "What breaks without it was not measured for this model: run `routelens ablate --model DIR` on labelled texts, or "
    "`routelens audit-expert` for a difference between groups."
)
ERASED = "(erased or not recorded)"
MOST_CHARACTERS = 90
BOUNDS = ("low", "high")
Layout = Callable[[Sequence[str], Sequence[tuple[str, ...]]], list[str]]


def words_of(card: ExpertCard) -> Words:
    """token id -> piece, empty where unknown."""
    vocabulary = card.words
    return no_words if vocabulary is None else (lambda token_id: vocabulary.pieces.get(token_id, ""))


def card_document(card: ExpertCard, texts: pd.DataFrame) -> dict[str, Any]:
    """Every number with its n, every estimate with its interval. texts (request_id, text): of `card.requests`; a text
    that was erased is None."""
    words, use = words_of(card), card.usage
    frequent = [{**row, "token": words(row["token_id"]) or None} for row in json_rows(card.tokens.frequent)]
    characteristic = [
        {**row, "name": feature_name(row["kind"], row["value"], words).text()}
        for row in intervals(card.tokens.characteristic, "low", "high", "interval")
    ]
    of_request = dict(zip(texts["request_id"], texts["text"], strict=True))
    requests = json_rows(card.requests.assign(text=[of_request.get(name) for name in card.requests["request_id"]]))
    domains = intervals(card.domains, "low", "high", "interval")
    for row in domains:
        row["lift_interval"] = _pair(row.pop("lift_low"), row.pop("lift_high"))
    return {
        "run_id": card.run_id, "model": card.model, "layer": card.layer, "expert_id": card.expert,
        "finding": card.finding.text(),
        "usage": {
            **{name: value if value == value else None for name, value in asdict(use).items() if name not in BOUNDS},
            "interval": _pair(use.low, use.high),
        },
        "hours": [{**row, "hour": row["hour"].isoformat()} for row in json_rows(card.hours)],
        "domains": domains,
        "tokens": {"frequent": frequent, "characteristic": characteristic, "tested": card.tokens.tested},
        "requests": requests, "partners": intervals(card.partners, "low", "high", "interval"),
        "ablation": None if card.ablation is None else _ablation(card.ablation),
        "sample": {**asdict(card.sample), "share": card.sample.share},
        "notes": [] if card.ablation is not None else [NOT_MEASURED],
    }  # fmt: skip


def card_lines(card: ExpertCard, texts: pd.DataFrame, table: Layout) -> list[str]:
    """What the command line prints; `table` lays out columns and rows."""
    use, words = card.usage, words_of(card)
    lines = [
        f"Run {card.run_id}, model {card.model}", card.finding.text(), "",
        f"runs for {use.n:,} of {use.tokens:,} tokens in {use.documents:,} documents: {use.share:.2%}"
        + interval_words(use.low, use.high, "{:.2%}"),
        f"place {use.place} of {use.n_experts} in its layer, {use.over_equal:.2f}x an equal share of the runs",
        f"mean gate weight {use.mean_gate:.3f}, {use.gate_share:.2%} of the layer's gate mass "
        f"({use.gate_over_equal:.2f}x an equal share)" if use.n else "no gate mass: it never ran",
        f"stood in: floor {use.floor_n:,}, failover {use.failover_n:,}; best one not run: {use.runner_up_n:,} tokens",
        "",
    ]  # fmt: skip
    rows: list[tuple[str, ...]]
    if len(card.domains):
        rows = [
            (str(row.domain), f"{row.share:.2%}", interval_words(row.low, row.high, "{:.2%}").strip(" ()"),
             f"{row.lift:.2f}x", f"{row.n:,}", f"{row.documents:,}", str(row.state))
            for row in card.domains.itertuples()
        ]  # fmt: skip
        lines += [*table(("domain", "share", "95 %", "lift", "n tokens", "documents", "state"), rows), ""]
    rows = [
        (feature_name(row.kind, row.value, words).text(), f"{row.lift:.2f}x", f"{row.low:.2f} to {row.high:.2f}",
         f"{row.n:,}", f"{row.documents:,}", "yes" if row.confirmed else "no")
        for row in card.tokens.characteristic.itertuples()
    ]  # fmt: skip
    lines.append(f"Characteristic ({card.tokens.tested:,} features tested):" + ("" if rows else " none"))
    if rows:
        lines += table(("feature", "lift", "95 %", "n tokens", "documents", "found twice"), rows)
    if len(card.tokens.frequent):
        shown = [
            f"{words(int(row.token_id)) or row.token_id} {row.runs:,} of {row.n:,}"
            for row in card.tokens.frequent.head(8).itertuples()
        ]
        lines += ["", "Most often routed: " + "; ".join(shown)]
    of_request = dict(zip(texts["request_id"], texts["text"], strict=True))
    for row in card.requests.itertuples():
        text = of_request.get(row.request_id)
        shown_text = " ".join(text.split())[:MOST_CHARACTERS] if isinstance(text, str) else ERASED
        lines.append(f"{row.which}: {row.runs} of {row.n} tokens, request {row.request_id}: {shown_text!r}")
    if len(card.partners):
        rows = [
            (f"{card.layer}:{row.expert_id}", f"{row.over_chance:.2f}x",
             interval_words(row.low, row.high, "{:.2f}").strip(" ()"), f"{row.n:,}")
            for row in card.partners.itertuples()
        ]  # fmt: skip
        lines += ["", *table(("partner", "over chance", "95 %", "n tokens"), rows)]
    lines += ["", *([NOT_MEASURED] if card.ablation is None else _ablation_lines(card.ablation, table)), ""]
    lines.append(
        f"Tokens and texts from {card.sample.decisions:,} of {card.sample.of_decisions:,} decisions "
        f"({card.sample.share:.0%}), {card.sample.documents:,} documents."
    )
    return lines


def intervals(frame: pd.DataFrame, low: str, high: str, name: str) -> list[dict[str, Any]]:
    """Rows as JSON with two columns as a pair under one name; None where there is no interval."""
    return [{**row, name: _pair(row.pop(low), row.pop(high))} for row in json_rows(frame)]


def interval_words(low: float, high: float, form: str) -> str:
    """' (0.31 to 0.36)', or that there are too few documents for one."""
    if low != low or high != high:
        return " (too few documents for an interval)"
    return f" ({form.format(low)} to {form.format(high)})"


def _pair(low: float | None, high: float | None) -> list[float] | None:
    return None if low is None or high is None or low != low or high != high else [low, high]


def _ablation(found: Ablation) -> dict[str, Any]:
    tasks = []
    for row in json_rows(found.tasks):
        for name in ("agreement", "accuracy", "moved"):
            row[f"{name}_interval"] = _pair(row.pop(f"{name}_low"), row.pop(f"{name}_high"))
        tasks.append(row)
    return {
        "way": found.way, "budget": found.budget, "n": found.n, "load": found.load, "tokens": found.tokens,
        "finding": found.finding.text(), "moved": found.moved, "interval": _pair(found.low, found.high),
        "worse_than": found.worse_than, "controls": intervals(found.controls, "moved_low", "moved_high", "interval"),
        "tasks": tasks,
    }  # fmt: skip


def _ablation_lines(found: Ablation, table: Layout) -> list[str]:
    rows = [
        (row.task, f"{row.agreement:+.2f} ({row.agreement_low:+.2f} to {row.agreement_high:+.2f})",
         f"{row.accuracy:+.2f} ({row.accuracy_low:+.2f} to {row.accuracy_high:+.2f})",
         f"{row.moved:+.2f} ({row.moved_low:+.2f} to {row.moved_high:+.2f})", f"{row.n:,}")
        for row in found.tasks.itertuples()
    ]  # fmt: skip
    head = ("task", "agreement with dense, points", "accuracy, points", "probability, points", "n texts")
    return [found.finding.text(), *table(head, rows)]

"""Three verdicts, never merged: a routing difference is not harm, and no routing difference is no proof of equal
treatment. Each is one sentence with its numbers; "nothing found" always says what could have been found."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from moe_core.analysis.audit.compute import ComputeResult
from moe_core.analysis.audit.outcome import OutcomeResult
from moe_core.analysis.audit.routing import RoutingResult
from moe_core.analysis.message import N_, Message

Finding = Literal["difference", "none found", "not examined"]


@dataclass(frozen=True, slots=True)
class Verdict:
    finding: Finding
    sentence: Message


def routing_verdict(result: RoutingResult) -> Verdict:
    layers = result.layers[result.layers["flagged"]]
    cells = result.cells[result.cells["flagged"]]
    documents = int(result.layers["documents"].max())
    if len(cells):
        top = cells.loc[cells["t"].abs().idxmax()]
        n_cells, n_layers = _experts(cells), int(cells["layer"].nunique())
        one_layer = (
            N_("Routing differs: layer {layer}, largest contributor expert {expert} ({group} {share:.1%}, {reference} "
               "{reference_share:.1%}, difference {low:+.1f} to {high:+.1f} points, {documents} documents); it is the "
               "only one flagged")
            if n_cells == 1 else
            N_("Routing differs: layer {layer}, largest contributor expert {expert} ({group} {share:.1%}, {reference} "
               "{reference_share:.1%}, difference {low:+.1f} to {high:+.1f} points, {documents} documents); {cells} "
               "experts in this layer are flagged")
        )  # fmt: skip
        sentence = Message(
            one_layer if n_layers == 1 else
            N_("Routing differs: layer {layer}, largest contributor expert {expert} ({group} {share:.1%}, {reference} "
               "{reference_share:.1%}, difference {low:+.1f} to {high:+.1f} points, {documents} documents); {cells} "
               "experts in {layers} layers are flagged"),
            {"layer": int(top["layer"]), "expert": int(top["expert_id"]), "group": str(top["group"]),
             "share": float(top["share"]), "reference": str(top["reference"]),
             "reference_share": float(top["reference_share"]), "low": 100 * float(top["low"]),
             "high": 100 * float(top["high"]), "documents": documents, "cells": n_cells,
             "layers": n_layers},
        )  # fmt: skip
        return Verdict("difference", sentence)
    if len(layers):
        top = layers.loc[layers["jsd_debiased"].idxmax()]
        return Verdict("difference", Message(
            N_("Routing differs in layer {layer} (divergence {jsd:.4f} bits, {documents} documents); no single expert "
               "can be named")
            if len(layers) == 1 else
            N_("Routing differs in {layers} layers, most in layer {layer} (divergence {jsd:.4f} bits, {documents} "
               "documents); no single expert can be named"),
            {"layers": len(layers), "layer": int(top["layer"]), "jsd": float(top["jsd_debiased"]),
             "documents": documents},
        ))  # fmt: skip
    if result.activation is not None and bool(result.activation["flagged"].any()):
        flagged = result.activation[result.activation["flagged"]]
        top = flagged.loc[flagged["t"].abs().idxmax()]
        return Verdict("difference", Message(
            N_("Experts run more or less often: most so in layer {layer}, {group} {rate:.3f}, {reference} "
               "{reference_rate:.3f} (difference {low:+.3f} to {high:+.3f})"),
            {"layer": int(top["layer"]), "group": str(top["group"]), "rate": float(top["activation"]),
             "reference": str(top["reference"]), "reference_rate": float(top["reference_activation"]),
             "low": float(top["low"]), "high": float(top["high"])},
        ))  # fmt: skip
    return Verdict("none found", Message(
        N_("No routing difference found in {cells} tested experts of {documents} documents; one of {detectable:.1%} of "
           "a layer's choices would have been found in 4 of 5 such logs"),
        {"cells": _experts(result.cells.dropna(subset="t")), "documents": documents,
         "detectable": result.minimum_detectable},
    ))  # fmt: skip


def compute_verdict(result: ComputeResult) -> Verdict:
    metrics = result.metrics
    if metrics.empty:
        return Verdict("not examined", Message(N_("Compute was not examined: the log holds nothing to compare")))
    flagged = metrics[metrics["flagged"].astype(bool)]
    if len(flagged):
        top = flagged.loc[(flagged["ratio"].astype(float) - 1).abs().idxmax()]
        return Verdict("difference", Message(
            N_("Compute differs: {metric} is {ratio:.2f} times as high for {group} as for {reference} ({mean:.4g} and "
               "{reference_mean:.4g}, n = {n} and {reference_n})"),
            {"metric": str(top["metric"]), "ratio": float(top["ratio"]), "group": str(top["group"]),
             "reference": str(top["reference"]), "mean": float(top["mean"]),
             "reference_mean": float(top["reference_mean"]), "n": int(top["n"]),
             "reference_n": int(top["reference_n"])},
        ))  # fmt: skip
    tested = metrics[metrics["p_maxt"].notna()]
    if tested.empty:
        return Verdict("none found", Message(
            N_("No difference of compute: experts per token, and all else that the log holds, is the same for every "
               "document")
        ))  # fmt: skip
    widest = float(((tested["high"] - tested["low"]) / 2 / tested["reference_mean"].abs()).max())
    n_metrics = int(tested["metric"].nunique())
    return Verdict("none found", Message(
        N_("No difference of compute found in the one measure that varies; its interval is ±{widest:.1%}")
        if n_metrics == 1 else
        N_("No difference of compute found in {metrics} measures; the widest interval is ±{widest:.1%}"),
        {"metrics": n_metrics, "widest": widest},
    ))  # fmt: skip


def outcome_verdict(result: OutcomeResult | None) -> Verdict:
    if result is None or result.differences.empty:
        return Verdict("not examined", Message(N_("Outcomes were not examined: no outcome column was named")))
    differences = result.differences
    flagged = differences[differences["flagged"].astype(bool)]
    top = flagged.loc[flagged["difference"].abs().idxmax()] if len(flagged) else differences.iloc[0]
    numbers: dict[str, float | int | str] = {
        "metric": str(top["metric"]), "group": str(top["group"]), "mean": float(top["mean"]),
        "reference": str(top["reference"]), "reference_mean": float(top["reference_mean"]),
        "low": 100 * float(top["low"]), "high": 100 * float(top["high"]), "n": int(top["n"]),
        "reference_n": int(top["reference_n"]),
    }  # fmt: skip
    if len(flagged):
        return Verdict("difference", Message(
            N_("Outcomes differ: {metric} is {mean:.1%} for {group} (n = {n}) and {reference_mean:.1%} for {reference} "
               "(n = {reference_n}), difference {low:+.1f} to {high:+.1f} points"), numbers,
        ))  # fmt: skip
    return Verdict("none found", Message(
        N_("No difference of outcomes found: {metric} is {mean:.1%} for {group} (n = {n}) and {reference_mean:.1%} for "
           "{reference} (n = {reference_n}), difference {low:+.1f} to {high:+.1f} points"), numbers,
    ))  # fmt: skip


def _experts(cells: pd.DataFrame) -> int:
    """Different experts, however many contrasts name them."""
    return len(cells[["layer", "expert_id"]].drop_duplicates())

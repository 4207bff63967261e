"""What a budget buys: the measured points of a model folder as frames, and the sentence they support.

Input are the documents that the model folder carries: `evaluation.json` (tasks, layers, load, wall time, lost experts)
and `calibration.json` (the dial on held-out text, with domains). Nothing is measured here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from moe_core.analysis.message import N_, Message

QUALITY = ("kind", "task", "rule", "budget", "active_fraction", "flops_ratio", "n", "accuracy", "delta", "low", "high",
           "agreement", "cosine", "error")  # fmt: skip
DOMAINS = ("domain", "n", "active_fraction", "cosine")
ADAPTIVE, ALL_TASKS = "adaptive", ""
FEW_TEXTS = 20  # of one kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurements:
    """quality: one row per (task, rule, budget), delta = points against dense with a 95 % interval; layers
    (budget, layer, active_fraction); load (budget, busiest_ratio, dead, cold); wall (budget, regime, threads,
    ratio_wall_p50); made: when it was measured, machine: on what."""

    quality: pd.DataFrame
    layers: pd.DataFrame
    load: pd.DataFrame
    wall: pd.DataFrame
    made: str
    machine: str

    @property
    def budgets(self) -> list[float]:
        """Budgets that tasks were measured at, falling."""
        rows = self.quality[self.quality["rule"] == ADAPTIVE]
        return sorted({float(b) for b in rows["budget"]}, reverse=True)

    @property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(str(task) for task in self.quality["task"]))


def measurements(document: Mapping[str, Any]) -> Measurements:
    """Frames of an evaluation.json. Raises KeyError, TypeError or ValueError where it is none."""
    rows = [
        {
            "kind": str(task.get("kind", "shipped")),
            "task": str(task["name"]),
            "rule": str(point.get("rule", ADAPTIVE)),
            "budget": float(point["budget"]),
            "active_fraction": float(point["active_fraction"]),
            "flops_ratio": float(point["flops_ratio"]),
            "n": int(task["n"]),
            "accuracy": float(point["accuracy"]),
            "delta": float(point["delta_points"]),
            "low": float(point["delta_low"]),
            "high": float(point["delta_high"]),
            "agreement": float(point["agreement"]),
            "cosine": float(point["cosine"]),
            "error": float(point.get("ece", "nan")),
        }
        for task in [*document["tasks"], *document.get("unseen", [])]
        for point in task["points"]
    ]
    quality = pd.DataFrame(rows, columns=list(QUALITY))
    return Measurements(
        quality=quality,
        layers=_frame(document.get("layers", []), ("budget", "layer", "active_fraction")),
        load=_frame(document.get("load", []), ("budget", "busiest_ratio", "dead", "cold")),
        wall=_frame(document.get("wall", []), ("budget", "regime", "threads", "ratio_wall_p50")),
        made=str(document.get("made", "")),
        machine=str(document.get("machine", "")),
    )


def mean_quality(quality: pd.DataFrame) -> pd.DataFrame:
    """quality -> (rule, budget, active_fraction, flops_ratio, tasks, delta, low, high, worst, worst_task): means over
    the tasks with a head of their own (`kind` shipped), one row per rule and budget, each task counting alike.

    low, high: 95 % interval of the mean of independent estimates, from the widths of theirs.
    """
    shipped = quality[quality["kind"] == "shipped"]
    rows = []
    for (rule, budget), part in shipped.groupby(["rule", "budget"], sort=True):
        worst = part.loc[part["delta"].idxmin()]
        mean = float(part["delta"].mean())
        half = float(np.sqrt(((part["high"] - part["low"]) ** 2).sum())) / 2 / len(part)
        rows.append(
            {
                "rule": rule,
                "budget": float(budget),
                "active_fraction": float(part["active_fraction"].mean()),
                "flops_ratio": float(part["flops_ratio"].mean()),
                "tasks": len(part),
                "delta": mean,
                "low": mean - half,
                "high": mean + half,
                "worst": float(worst["delta"]),
                "worst_task": str(worst["task"]),
            }
        )
    columns = ["rule", "budget", "active_fraction", "flops_ratio", "tasks", "delta", "low", "high", "worst",
               "worst_task"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def wall_with_most_threads(wall: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The rows measured with the largest number of threads, and that number (0: nothing was measured)."""
    if wall.empty:
        return wall, 0
    most = int(wall["threads"].max())
    return wall[wall["threads"] == most].reset_index(drop=True), most


def of_task(quality: pd.DataFrame, task: str) -> pd.DataFrame:
    """The points of one task, or the means over tasks (`ALL_TASKS`), with the columns that the chart reads.

    These are rule, budget, flops_ratio, active_fraction, delta, low, high, n.
    """
    if task != ALL_TASKS:
        return quality[quality["task"] == task].reset_index(drop=True)
    means = mean_quality(quality)
    total = int(quality[quality["kind"] == "shipped"].drop_duplicates("task")["n"].sum())
    return means.assign(n=total)


def domains_at(calibration: Mapping[str, Any], budget: float) -> pd.DataFrame:
    """(domain, n, active_fraction, cosine) on held-out text at the measured point nearest to `budget`, worst first.

    Kinds of fewer than FEW_TEXTS texts are left out where there are larger ones: one odd text is not a kind.
    """
    points = calibration["points"]
    nearest = min(points, key=lambda point: abs(float(point["budget"]) - budget))
    rows = [
        {"domain": name, "n": int(n), "active_fraction": float(share), "cosine": float(cosine)}
        for name, (share, cosine, n) in nearest["by_domain"].items()
    ]
    large = [row for row in rows if int(row["n"]) >= FEW_TEXTS]
    return pd.DataFrame(large or rows, columns=list(DOMAINS)).sort_values("cosine", ignore_index=True)


def finding(means: pd.DataFrame, bound: float) -> Message:
    """The cheapest measured setting whose mean loss over the tasks stays within `bound` points, in one sentence."""
    rows = means[(means["rule"] == ADAPTIVE) & (means["delta"] >= -bound)]
    if means.empty:
        return Message(N_("Nothing was measured for this model yet"))
    if rows.empty:
        return Message(N_("No measured budget stays within {bound:.1f} points of the dense original"), {"bound": bound})
    best = rows.loc[rows["flops_ratio"].idxmin()]
    params = {
        "budget": float(best["budget"]),
        "share": float(best["flops_ratio"]),
        "points": float(best["delta"]),
        "tasks": int(best["tasks"]),
    }
    return Message(
        N_("Budget {budget:.2f} needs {share:.0%} of the dense FLOPs at {points:+.1f} points over {tasks} tasks"),
        params,
    )


def _frame(rows: Any, columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame([{name: row[name] for name in columns} for row in rows], columns=list(columns))

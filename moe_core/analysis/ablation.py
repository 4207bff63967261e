"""What breaks without an expert: figures with intervals from the counts that `routelens ablate` writes.

Every expert was taken out in turn while the same labelled texts were answered (`evaluation/ablation.py`). Taking out
any busy expert changes something, so an expert is compared with others of its layer that run for about as many tokens.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from moe_core.analysis.expert_effect import matched_controls
from moe_core.analysis.interval import Z_95
from moe_core.analysis.message import N_, Message
from moe_core.analysis.paired import mean_change, paired_difference

Way = Literal["mean", "failover"]
MOST_CONTROLS = 8
LEAST_CONTROLS = 3
TASK_COLUMNS = (
    "task", "n", "agreement", "agreement_low", "agreement_high", "accuracy", "accuracy_low", "accuracy_high", "moved",
    "moved_low", "moved_high",
)  # fmt: skip
CONTROL_COLUMNS = ("expert_id", "load", "moved", "moved_low", "moved_high")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ablation:
    """One expert. `tasks`: TASK_COLUMNS, a row per task, changes in points against the whole sparse model on the same
    texts; `moved`: change of the probability of the dense original's answer. `moved`, `low`, `high`: mean over the
    tasks, each weighing the same; `controls`: CONTROL_COLUMNS, nearest load first; `worse_than` of them lose less."""

    way: Way
    budget: float
    n: int
    load: int
    tokens: int
    tasks: pd.DataFrame
    moved: float
    low: float
    high: float
    controls: pd.DataFrame
    worse_than: int

    @property
    def finding(self) -> Message:
        """What is lost, and against whom."""
        params: dict[str, float | int | str] = {
            "moved": self.moved, "low": self.low, "high": self.high, "n": self.n, "k": self.worse_than,
            "m": len(self.controls),
        }  # fmt: skip
        if not self.load:
            return Message(N_("It ran for none of these texts' tokens, so nothing changes without it."), params)
        if len(self.controls) < LEAST_CONTROLS:
            tail = N_(
                "Without it, the dense original's answer changes by {moved:+.2f} points of probability (95 %: "
                "{low:+.2f} to {high:+.2f}, n = {n:,} texts); too few experts of this layer are equally loaded to "
                "compare."
            )
        elif self.low <= 0 <= self.high:
            tail = N_(
                "Without it, no change can be told from chance: {moved:+.2f} points of probability of the dense "
                "original's answer (95 %: {low:+.2f} to {high:+.2f}, n = {n:,} texts); it loses more than {k} of {m} "
                "equally loaded experts."
            )
        else:
            tail = N_(
                "Without it, the dense original's answer changes by {moved:+.2f} points of probability (95 %: "
                "{low:+.2f} to {high:+.2f}, n = {n:,} texts): it loses more than {k} of {m} equally loaded experts."
            )
        return Message(tail, params)


def ablation_of(document: Mapping[str, Any], layer: int, expert: int, way: Way = "mean") -> Ablation | None:
    """The figures of one expert in a document of `routelens ablate`; None where it was not measured."""
    tasks = [task for task in document.get("tasks", ()) if task.get("n")]
    shape = int(document.get("n_layers", 0)), int(document.get("n_experts", 0))
    if not tasks or not (0 <= layer < shape[0] and 0 <= expert < shape[1]):
        return None
    load_LE = np.sum([np.asarray(task["load_LE"], np.int64) for task in tasks], axis=0)
    others = [(at, e) for at in range(shape[0]) for e in range(shape[1]) if at != layer or not load_LE[at, e]]
    chosen = matched_controls(load_LE, (layer, expert), others, MOST_CONTROLS) if load_LE[layer, expert] else []
    moved, low, high = _overall(tasks, layer, expert, way)
    controls = pd.DataFrame(
        [(e, int(load_LE[layer, e]), *_overall(tasks, layer, e, way)) for _, e in chosen],
        columns=list(CONTROL_COLUMNS),
    )
    return Ablation(
        way=way, budget=float(document["budget"]), n=sum(int(task["n"]) for task in tasks),
        load=int(load_LE[layer, expert]), tokens=sum(int(task["n_tokens"]) for task in tasks),
        tasks=pd.DataFrame([_task(task, layer, expert, way) for task in tasks], columns=list(TASK_COLUMNS)),
        moved=moved, low=low, high=high, controls=controls,
        worse_than=int((controls["moved"] > moved).sum()),
    )  # fmt: skip


def _task(task: Mapping[str, Any], layer: int, expert: int, way: Way) -> tuple[Any, ...]:
    n = int(task["n"])
    of = {name: table[layer][expert] for name, table in task[way].items()}
    agreement = paired_difference(int(of["same_gained"]), int(of["same_lost"]), n)
    accuracy = paired_difference(int(of["right_gained"]), int(of["right_lost"]), n)
    return task["name"], n, *agreement, *accuracy, *mean_change(of["moved_sum"], of["moved_squares"], n)


def _overall(tasks: list[Mapping[str, Any]], layer: int, expert: int, way: Way) -> tuple[float, float, float]:
    """Mean over the tasks of the mean change, with the texts of each task as the sample."""
    means, errors = [], []
    for task in tasks:
        table = task[way]
        total, squares = table["moved_sum"][layer][expert], table["moved_squares"][layer][expert]
        mean, low, _ = mean_change(total, squares, int(task["n"]))
        means.append(mean)
        errors.append((mean - low) / Z_95)
    spread = Z_95 * math.sqrt(sum(error**2 for error in errors)) / len(tasks)
    mean = sum(means) / len(tasks)
    return mean, mean - spread, mean + spread

"""The smallest budget whose measured quality loss stays below a bound: what `--budget auto` asks for.

It decides on what `routelens evaluate` measured and wrote to evaluation.json beside the model, never on a guess, and on
the unfavourable end of the interval: a loss of 0.3 points that may as well be 0.9 does not pass a bound of 0.5.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moe_core.errors import InputError
from moe_core.model.router import Mode

if TYPE_CHECKING:
    from moe_core.model.reference import RoutedModel

EVALUATION = "evaluation.json"
FORMAT_VERSION = 1
DEFAULT_MAX_LOSS = 0.5  # points of accuracy against the dense original


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetChoice:
    """The chosen budget and what it rests on: accuracy on n texts of `task`, in points (100 times the share) against
    the dense original, with its interval where one was measured."""

    budget: float
    task: str
    max_loss: float
    n: int
    delta_points: float
    delta_low: float | None
    delta_high: float | None

    @property
    def sentence(self) -> str:
        """For people."""
        interval = (
            "" if self.delta_low is None or self.delta_high is None
            else f", interval {self.delta_low:+.2f} to {self.delta_high:+.2f}"
        )  # fmt: skip
        return (
            f"budget auto: {self.budget:g} is the smallest measured one that loses at most {self.max_loss:g} points on "
            f"{self.task} (accuracy {self.delta_points:+.2f} points against dense{interval}, n = {self.n:,})"
        )


def check_max_loss(points: float) -> None:
    """Raises InputError unless the bound is a finite number of points, 0 or more."""
    if not math.isfinite(points) or points < 0:
        raise InputError(f"The largest loss {points!r} is out of range: give points of accuracy, 0 or more.")


def auto_budget(
    model: "RoutedModel", *, head: str | None, max_loss: float = DEFAULT_MAX_LOSS, mode: Mode = "adaptive"
) -> BudgetChoice:
    """The smallest measured budget at which `head` loses at most `max_loss` points against the dense original.

    Raises InputError if nothing was measured for this model, head and mode, or nothing measured qualifies.
    """
    check_max_loss(max_loss)
    if mode == "dense":
        raise InputError("Budget auto is given, but dense mode has no budget: use adaptive or topk mode.")
    if head is None:
        raise InputError("Budget auto needs a head whose measured loss it can bound: name a head.")
    model.head(head)
    path = model.folder / EVALUATION
    evaluation = read_evaluation(path)
    if evaluation.get("model_sha256") != model.sha256:
        raise InputError(f"{path} was measured on another state of the model: run `routelens evaluate` again.")
    try:
        return choose_budget(evaluation, task=head, max_loss=max_loss, mode=mode)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} cannot be understood ({error!r}): run `routelens evaluate` again.") from error


def read_evaluation(path: Path) -> dict[str, Any]:
    """What was measured on a model. Raises InputError if the file is missing, broken or of another format."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"There is no {path}, so no loss was measured: run `routelens evaluate` first.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}): run `routelens evaluate` again.") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT_VERSION:
        raise InputError(f"{path} does not have format {FORMAT_VERSION}: run `routelens evaluate` again.")
    return document


def choose_budget(
    evaluation: Mapping[str, Any], *, task: str, max_loss: float, mode: Mode = "adaptive"
) -> BudgetChoice:
    """The smallest budget of the task's points measured with the rule `mode` whose loss, at the unfavourable end of
    its interval where there is one, is at most `max_loss` points. Raises InputError if there is none."""
    tasks = {str(each["name"]): each for each in evaluation["tasks"]}
    if task not in tasks:
        measured = ", ".join(sorted(tasks)) or "none"
        raise InputError(
            f"No loss was measured for the head {task!r} (measured: {measured}): run `routelens evaluate`, or give a "
            "number as budget."
        )
    points = [point for point in tasks[task]["points"] if point["rule"] == mode]
    if not points:
        raise InputError(f"No loss was measured for {task!r} in {mode} mode: run `routelens evaluate` for it.")
    choices = [_choice(point, tasks[task], max_loss) for point in points]
    allowed = [choice for choice in choices if _worst(choice) >= -max_loss]
    if not allowed:
        best = max(choices, key=_worst)
        raise InputError(
            f"No measured budget loses at most {max_loss:g} points on {task!r}: the best, {best.budget:g}, may lose "
            f"{max(0.0, -_worst(best)):.2f}: allow more with --max-loss, or use --mode dense."
        )
    return min(allowed, key=lambda choice: choice.budget)


def _choice(point: Mapping[str, Any], task: Mapping[str, Any], max_loss: float) -> BudgetChoice:
    low, high = point.get("delta_low"), point.get("delta_high")
    return BudgetChoice(
        budget=float(point["budget"]),
        task=str(task["name"]),
        max_loss=max_loss,
        n=int(task["n"]),
        delta_points=float(point["delta_points"]),
        delta_low=None if low is None else float(low),
        delta_high=None if high is None else float(high),
    )


def _worst(choice: BudgetChoice) -> float:
    """Points against dense, at the unfavourable end of the interval; NaN (not measured) counts as the worst."""
    value = choice.delta_points if choice.delta_low is None else choice.delta_low
    return -math.inf if math.isnan(value) else value

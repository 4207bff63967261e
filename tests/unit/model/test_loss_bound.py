"""`--budget auto`: the smallest measured budget within the bound, on the unfavourable end of the interval."""

import json
from typing import Any

import pytest

from moe_core.errors import InputError
from moe_core.model.loss_bound import auto_budget, choose_budget, read_evaluation
from moe_core.model.reference import RoutedModel


def point(budget: float, delta: float, low: float | None = None, rule: str = "adaptive") -> dict[str, Any]:
    high = None if low is None else 2 * delta - low
    return {"rule": rule, "budget": budget, "delta_points": delta, "delta_low": low, "delta_high": high}


def evaluation(*points: dict[str, Any], sha256: str = "a" * 64, task: str = "mood") -> dict[str, Any]:
    tasks = [{"name": task, "kind": "shipped", "n": 400, "points": list(points)}]
    return {"format": 1, "model_sha256": sha256, "tasks": tasks}


POINTS = [point(1, 0.0, -0.1), point(0.5, -0.1, -0.4), point(0.35, -0.2, -0.9), point(0.25, -0.6, -1.4),
          point(0.15, -2.0, -3.0), point(0.1, 0.5, 0.4, rule="topk")]  # fmt: skip


@pytest.mark.parametrize(
    ("bound", "expected"), [(0.1, 1), (0.39, 1), (0.4, 0.5), (0.5, 0.5), (0.9, 0.35), (1.4, 0.25), (3, 0.15)]
)
def test_the_lower_end_of_the_interval_decides(bound: float, expected: float) -> None:
    """0.35 loses 0.2 points, but maybe 0.9: it passes a bound of 0.9, not one of 0.5. Points of other rules are
    not looked at, and the order of the points does not matter."""
    for points in (POINTS, POINTS[::-1]):
        choice = choose_budget(evaluation(*points), task="mood", max_loss=bound)
        assert choice.budget == expected
        assert (choice.n, choice.task) == (400, "mood")


def test_without_an_interval_the_measured_loss_decides() -> None:
    """Interval keys may be missing or null; the sentence for people names budget, task, n and what was measured."""
    bare = {"rule": "adaptive", "budget": 0.25, "delta_points": -0.5}
    choice = choose_budget(evaluation(bare, point(0.5, 0.0)), task="mood", max_loss=0.5)
    assert choice.budget == 0.25
    for word in ("0.25", "mood", "n = 400", "-0.50", "0.5 points"):
        assert word in choice.sentence
    assert "interval" not in choice.sentence
    assert "interval -0.40 to +0.20" in choose_budget(evaluation(*POINTS), task="mood", max_loss=0.5).sentence


def test_top_k_has_points_of_its_own() -> None:
    """Mode topk asks for what was measured with top-k."""
    assert choose_budget(evaluation(*POINTS), task="mood", max_loss=0, mode="topk").budget == 0.1


def test_nothing_that_qualifies_is_an_error_that_names_the_best() -> None:
    """The bound is too strict, the head was never measured, nor was the mode."""
    with pytest.raises(InputError, match=r"at most 0.05 points on 'mood': the best, 1, may lose 0.10"):
        choose_budget(evaluation(*POINTS), task="mood", max_loss=0.05)
    with pytest.raises(InputError, match=r"head 'spam' \(measured: mood\): run `routelens evaluate`"):
        choose_budget(evaluation(*POINTS), task="spam", max_loss=0.5)
    with pytest.raises(InputError, match="topk mode"):
        choose_budget(evaluation(*POINTS[:5]), task="mood", max_loss=0.5, mode="topk")
    with pytest.raises(InputError, match="No measured budget"):
        choose_budget(evaluation(point(0.5, float("nan"))), task="mood", max_loss=0.5)


def test_it_reads_what_lies_beside_the_model(tiny_model: RoutedModel) -> None:
    """Absent, of another model, broken, of a later format, without the keys: each says to run `routelens evaluate`."""
    path = tiny_model.folder / "evaluation.json"
    with pytest.raises(InputError, match=r"There is no .*evaluation.json.*run `routelens evaluate`"):
        auto_budget(tiny_model, head="mood")
    path.write_text(json.dumps(evaluation(*POINTS)))
    assert auto_budget(tiny_model, head="mood").budget == 0.5
    assert auto_budget(tiny_model, head="mood", max_loss=1.0).budget == 0.35
    for content, words in (
        (json.dumps(evaluation(*POINTS, sha256="b" * 64)), "another state of the model"),
        ("{", "cannot be read"),
        ("[]", "does not have format 1"),
        (json.dumps({"format": 2}), "does not have format 1"),
        (json.dumps({"format": 1, "model_sha256": "a" * 64}), "cannot be understood.*tasks"),
        (json.dumps({"format": 1, "model_sha256": "a" * 64, "tasks": [3]}), "cannot be understood"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=words) as caught:
            auto_budget(tiny_model, head="mood")
        assert "run `routelens evaluate`" in str(caught.value)


def test_calls_that_make_no_sense_are_refused(tiny_model: RoutedModel) -> None:
    """Dense mode has no budget; without a head there is no loss; the bound is a number of points, 0 or more."""
    with pytest.raises(InputError, match="dense mode has no budget"):
        auto_budget(tiny_model, head="mood", mode="dense")
    with pytest.raises(InputError, match="needs a head"):
        auto_budget(tiny_model, head=None)
    with pytest.raises(InputError, match="no head 'spam'"):
        auto_budget(tiny_model, head="spam")
    for bound in (-0.1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="out of range"):
            auto_budget(tiny_model, head="mood", max_loss=bound)
    with pytest.raises(InputError, match="There is no"):
        read_evaluation(tiny_model.folder / "evaluation.json")

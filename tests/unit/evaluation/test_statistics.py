"""Intervals, slices and the choice of the baseline on answers made up by hand."""

import numpy as np
import pytest
import torch

from moe_core.evaluation.arms import Embedded
from moe_core.evaluation.labelled import LabelledTexts
from moe_core.evaluation.quality import DENSE, dense_answers, measure_task, worst_slice
from moe_core.evaluation.statistics import paired_points
from moe_core.model.heads import Head, HeadCard


def side(values: list[float], flops: int = 10) -> Embedded:
    """Embeddings (v, -v) / norm: a head with the identity answers `p` where v > 0."""
    rows = np.array([[v, -v] for v in values], dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    each = np.full(len(values), flops, dtype=np.int64)
    return Embedded(rows, each, np.full(len(values), 10, dtype=np.int64), np.ones((1, 2), dtype=np.int64), 2)


def head(baseline: Head | None = None, flip: bool = False) -> Head:
    weight = torch.eye(2)
    return Head(HeadCard(name="x", labels=["p", "n"]), -weight if flip else weight, torch.zeros(2), baseline)


def test_a_planted_difference_lies_in_its_interval() -> None:
    """1,000 texts, 60 got worse and 20 better: -4 points; normal theory: +- 1.96 sqrt(.08 - .04^2) / sqrt(1000)."""
    theirs = np.ones(1000, dtype=bool)
    ours = theirs.copy()
    ours[:60] = False
    theirs[60:80] = False
    delta, low, high = paired_points(ours, theirs)
    half = 100 * 1.96 * np.sqrt((0.08 - 0.04**2) / 1000)
    assert delta == pytest.approx(-4.0)
    assert low == pytest.approx(-4 - half, abs=0.15)
    assert high == pytest.approx(-4 + half, abs=0.15)


def test_a_few_texts_without_any_difference_are_no_certainty() -> None:
    """Nothing differs in 40 texts: +- 1.96 / 42; in 10,000: next to nothing; no text at all: anything."""
    few, many = np.ones(40, dtype=bool), np.ones(10_000, dtype=bool)
    assert paired_points(few, few) == pytest.approx((0.0, -196 / 42, 196 / 42))
    assert paired_points(many, many)[2] < 0.02
    assert paired_points(few[:0], few[:0]) == (0.0, -100.0, 100.0)


def test_pairing_matters_the_same_accuracies_by_other_texts_are_less_certain() -> None:
    """Both sides right on 50 of 100 texts: the same ones, or the other ones."""
    first = np.arange(100) < 50
    _, low, high = paired_points(first, first)
    _, wide_low, wide_high = paired_points(first, ~first)
    assert high - low < 5 < 30 < wide_high - wide_low


def test_losses_are_measured_against_the_better_head_on_the_original() -> None:
    """The joint head is always wrong, its baseline always right: the baseline is what is lost against."""
    right = np.array(["p", "n", "p", "n"])
    correct, figures = dense_answers(head(baseline=head(), flip=True), side([1, -1, 1, -1]), right)
    assert correct.all()
    assert (figures["accuracy"], figures["head"]) == (1.0, "dense only")
    data = LabelledTexts(list("abcd"), right.tolist(), [""] * 4)
    sides = {DENSE: side([1, -1, 1, -1]), ("adaptive", 0.5): side([1, -1, 1, -1], flops=4)}
    entry = measure_task("t", "shipped", head(baseline=head(), flip=True), data, sides)
    (point,) = entry["points"]
    assert point["delta_points"] == -100
    assert point["agreement"] == 1.0  # with the original through the same head
    assert point["flops_ratio"] == pytest.approx(0.4)
    assert point["cosine"] == pytest.approx(1.0)


def test_a_baseline_rule_says_how_far_the_adaptive_one_is_ahead() -> None:
    """Adaptive right on all four, top-k on two: 50 points, paired."""
    data = LabelledTexts(list("abcd"), ["p", "n", "p", "n"], [""] * 4)
    sides = {DENSE: side([1, -1, 1, -1]), ("adaptive", 0.5): side([1, -1, 1, -1]), ("topk", 0.5): side([1, 1, 1, 1])}
    adaptive, top_k = measure_task("t", "shipped", head(), data, sides)["points"]
    assert top_k["adaptive_ahead"] == 50
    assert "adaptive_ahead" not in adaptive


def test_without_a_baseline_the_head_itself_is_the_measure() -> None:
    """Old head files have none."""
    _, figures = dense_answers(head(), side([1, 1]), np.array(["p", "n"]))
    assert (figures["accuracy"], figures["head"]) == (0.5, "this head")


def test_the_worst_slice_is_a_domain_or_a_fifth_by_length_and_never_a_handful_of_texts() -> None:
    """All errors lie in `chat` (40 texts); `rare` (10 texts, all wrong) is too small to be named."""
    domains = ["mail"] * 40 + ["chat"] * 40 + ["rare"] * 10
    data = LabelledTexts(["x" * (i + 1) for i in range(90)], ["p"] * 90, domains)
    correct = np.ones(90, dtype=bool)
    correct[40:50] = correct[80:] = False
    found = worst_slice(data, correct, np.ones(90, dtype=bool), 0.35)
    assert found is not None
    assert (found["slice"], found["n"], found["delta_points"]) == ("chat", 40, -25.0)
    lengths = LabelledTexts(["x" * (i + 1) for i in range(200)], ["p"] * 200, [""] * 200)
    correct = np.arange(200) >= 20
    found = worst_slice(lengths, correct, np.ones(200, dtype=bool), 0.35)
    assert found is not None
    assert (found["slice"], found["delta_points"]) == ("length fifth 1", -50.0)

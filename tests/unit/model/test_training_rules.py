"""Baseline choices, by hand."""

import pytest
import torch

from moe_core.model.training_rules import choose, draw_level

LOGITS = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.1, 0.2, 0.3, 0.4]]))


def test_topk_takes_the_largest_scores() -> None:
    """Half of four experts."""
    assert choose("topk", LOGITS, 0.5, 0).tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]


def test_topp_takes_experts_until_the_probability_is_covered() -> None:
    """.5 + .3 covers .7; .4 + .3 does not cover .75; 1 takes all."""
    assert choose("topp", LOGITS, 0.7, 0).tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert choose("topp", LOGITS, 0.75, 0).tolist() == [[1, 1, 0, 0], [0, 1, 1, 1]]
    assert choose("topp", LOGITS, 1.0, 0).sum() == 8


def test_narrow_runs_the_same_experts_for_every_token() -> None:
    """Mean logs: expert 1 is largest with .3 x .2, then 0 with .5 x .1."""
    assert choose("narrow", LOGITS, 0.5, 0).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0]]


def test_random_runs_as_many_experts_whatever_their_scores() -> None:
    """Two of four for each of 2,000 tokens; each expert near half; the same seed draws the same."""
    gates = choose("random", LOGITS.repeat(1000, 1), 0.5, 3)
    assert gates.sum(dim=1).unique().tolist() == [2.0]
    assert gates.mean(dim=0).tolist() == pytest.approx([0.5] * 4, abs=0.06)
    assert torch.equal(gates, choose("random", LOGITS.repeat(1000, 1), 0.5, 3))


def test_levels_are_drawn_from_seed_and_step() -> None:
    """Shares of 16 experts, never none; about the asked share of steps runs all."""
    levels = [draw_level(0, step, 16, 0.1) for step in range(500)]
    assert levels == [draw_level(0, step, 16, 0.1) for step in range(500)]
    assert all(1 / 16 <= level <= 1 for level in levels)
    assert 25 <= sum(level == 1 for level in levels) <= 80


def test_a_rule_without_choice_is_refused() -> None:
    """Adaptive routing goes through thresholds."""
    with pytest.raises(ValueError, match="no choice"):
        choose("adaptive", LOGITS, 0.5, 0)

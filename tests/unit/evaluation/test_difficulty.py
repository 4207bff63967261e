"""Hard tokens: a planted link is found, random numbers are caught, and the swap keeps the compute."""

from typing import Any

import numpy as np
import pytest
import torch

from moe_core.evaluation.difficulty import (
    TokenFigures,
    correlation,
    dense_states,
    inner_tokens,
    measure_difficulty,
    settling,
    shuffled_within,
    spearman,
    with_counts,
)
from moe_core.evaluation.findings import Finding, difficulty_finding
from moe_core.model.encoder import pack
from moe_core.model.reference import RoutedModel

SWAP = {"n_texts": 50, "own_counts_cosine": 0.9, "shuffled_counts_cosine": 0.8}
MATTERS = SWAP | {"swap_difference": 0.1, "swap_low": 0.09, "swap_high": 0.11}
NOTHING = SWAP | {"swap_difference": 0.0, "swap_low": -0.01, "swap_high": 0.01}


def finding_of(found: dict[str, Any], swap: dict[str, float], settling: dict[str, Any] | None = None) -> Finding:
    return difficulty_finding(found | swap | {"settling": settling or found})


def figures(link: float) -> TokenFigures:
    """50 texts of 40 tokens; experts = link * difficulty + chance."""
    rng = np.random.default_rng(0)
    hard = rng.random(2000)
    return TokenFigures(link * hard + (1 - link) * rng.random(2000), hard, np.repeat(np.arange(50), 40))


def test_a_planted_link_beats_its_shuffled_control() -> None:
    """Then, and only if the swap hurts, the card may say that hard tokens get more."""
    found = correlation(figures(0.5), seed=1)
    assert found["spearman"] > 0.5 > 0.1 > found["shuffled_p95"]
    counts = [row["experts_per_token"] for row in found["quintiles"]]
    assert counts == sorted(counts)
    assert sum(row["n"] for row in found["quintiles"]) == found["n_tokens"] == 2000
    good = finding_of(found, MATTERS)
    assert (good.verdict, good.sentence[:38]) == ("holds", "More experts go to harder tokens, and ")
    weak = finding_of(found, NOTHING)
    assert weak.verdict == "does not hold"
    assert "does no measurable harm" in weak.sentence


def test_random_counts_are_caught() -> None:
    """Numbers drawn without a look at the token: the card says the sentence that the figures demand."""
    found = correlation(figures(0.0), seed=1)
    assert found["spearman"] <= max(0.0, found["shuffled_p95"])
    finding = finding_of(found, NOTHING)
    assert finding.verdict == "does not hold"
    assert finding.sentence.startswith("More experts do not go to harder tokens. Spearman")
    assert "though it matters which tokens get them" in finding_of(found, MATTERS).sentence


def test_two_measures_that_disagree_are_said_to_disagree() -> None:
    """A link with one of them only is no licence for the sentence."""
    strong, none = correlation(figures(0.5), seed=1), correlation(figures(0.0), seed=1)
    cost, late = finding_of(strong, MATTERS, none), finding_of(none, MATTERS, strong)
    assert (cost.verdict, late.verdict) == ("does not hold", "does not hold")
    assert "tokens that sparseness costs most, but not to those that settle late" in cost.sentence
    assert "tokens that settle late in the dense original, but not to those that sparseness" in late.sentence


def test_a_state_that_is_there_early_has_settled() -> None:
    """Two layers before the last: equal to it, or opposite to it in one of the two: 0 and (2 + 0) / 2."""
    last = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    first = torch.tensor([[2.0, 0.0], [0.0, -1.0]])
    assert settling([first, last, last]).tolist() == pytest.approx([0.0, 1.0])
    assert settling([last]).tolist() == [0.0, 0.0]


def test_the_dense_states_end_where_the_dense_model_ends(model: RoutedModel) -> None:
    """One state a layer, the last one is the answer's."""
    packed = pack([[2, 5, 6, 7, 3], [2, 8, 9, 3]])
    with torch.inference_mode():
        states = dense_states(model, packed)
        torch.testing.assert_close(states[-1], model.dense(packed, None)[0])
    assert len(states) == model.config.n_layers


def test_a_link_between_texts_is_no_link_between_tokens() -> None:
    """Long texts are harder and get more everywhere: shuffling inside a text changes nothing, so it must not count."""
    text = np.repeat(np.arange(50), 40)
    rng = np.random.default_rng(0)
    found = correlation(TokenFigures(text + 0.1 * rng.random(2000), text + 0.1 * rng.random(2000), text), seed=1)
    assert found["spearman"] > 0.9
    assert finding_of(found, MATTERS).verdict == "does not hold"


def test_the_same_number_everywhere_has_no_correlation() -> None:
    """Fixed top-k: the control cannot be beaten."""
    assert spearman(np.full(10, 4.0), np.arange(10.0)) == 0.0


def test_the_swap_keeps_each_texts_compute_and_its_marks() -> None:
    """Inside a text numbers change places, none leaves it, and exactly the asked number of best experts runs."""
    packed = pack([[2, 5, 6, 7, 3], [2, 8, 9, 3]])
    inner = inner_tokens(packed)
    assert inner.tolist() == [1, 2, 5, 6, 7]
    place = torch.repeat_interleave(torch.arange(2), torch.tensor(packed.lengths_B))
    order = shuffled_within(place[inner], torch.Generator().manual_seed(0))
    assert place[inner][order].tolist() == place[inner].tolist()
    routing = with_counts(torch.tensor([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1]]), torch.tensor([2, 1]))
    assert routing.gates_TE.tolist() == [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]


def test_a_real_model_gives_all_figures(model: RoutedModel) -> None:
    """Every token but the marks is counted once."""
    ids = [[2, *np.random.default_rng(i).integers(4, 16, size=6).tolist(), 3] for i in range(30)]
    found = measure_difficulty(model, ids, 0.35)
    assert (found["n_texts"], found["n_tokens"]) == (30, 180)
    assert found["swap_low"] <= found["swap_difference"] <= found["swap_high"]
    assert -1 <= found["spearman"] <= 1

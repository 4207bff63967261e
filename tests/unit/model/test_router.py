"""Which experts run: worked by hand."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from moe_core.model.router import decide, decide_top_k, relative_scores


def test_scores_are_shares_of_the_tokens_strongest_expert() -> None:
    """Logits ln 4, ln 2, ln 1 mean contributions 4, 2, 1: scores 1, 0.5, 0.25."""
    scores = relative_scores(torch.tensor([[math.log(4), math.log(2), 0.0]]))
    torch.testing.assert_close(scores, torch.tensor([[1.0, 0.5, 0.25]]))


def test_an_expert_runs_iff_its_score_passes_its_own_threshold() -> None:
    """Thresholds 0.4, 0.6, 0.2: the second expert (0.5) stays off, the third (0.25) fades in."""
    routing = decide(torch.tensor([[math.log(4), math.log(2), 0.0]]), torch.tensor([0.4, 0.6, 0.2]), ramp=0.5)
    # third: margin 0.05 over a ramp of 0.5 x 0.2 = 0.1, so half weight
    torch.testing.assert_close(routing.gates_TE, torch.tensor([[1.0, 0.0, 0.5]]))
    torch.testing.assert_close(routing.margins_TE, torch.tensor([[0.6, -0.1, 0.05]]))
    assert not bool(routing.floor_T[0])


def test_a_threshold_of_zero_runs_every_expert_at_full_weight() -> None:
    """Budget 1 is exactly all experts, however small a contribution is."""
    routing = decide(torch.tensor([[0.0, -12.0, -3.0]]), torch.zeros(3), ramp=0.2)
    assert routing.gates_TE.tolist() == [[1.0, 1.0, 1.0]]


def test_the_best_expert_runs_even_if_nobody_passes_and_this_is_marked() -> None:
    """At least one expert runs for every token; the floor flag says that it did not pass."""
    routing = decide(torch.tensor([[0.0, -0.1]]), torch.tensor([1.3, 1.1]), ramp=0.2)
    assert routing.gates_TE.tolist() == [[0.0, 1.0]]  # margins -0.3 and -0.195
    assert routing.floor_T.tolist() == [True]


def test_an_unavailable_expert_neither_runs_nor_is_the_floor() -> None:
    """The strongest expert is lost: the next best takes its place, and its score is then 1."""
    routing = decide(
        torch.tensor([[0.0, -1.0, -2.0]]),
        torch.full((3,), 0.9),
        ramp=0.2,
        available_E=torch.tensor([False, True, True]),
    )
    assert (routing.gates_TE > 0).tolist() == [[False, True, False]]
    assert routing.floor_T.tolist() == [False]


def test_the_gate_is_continuous_at_the_threshold() -> None:
    """A score a hair above the threshold enters with a weight near 0, so a last-bit difference cannot matter."""
    eps = 1e-6
    logits = torch.tensor([[0.0, math.log(0.5 + eps)]])
    gate = decide(logits, torch.tensor([0.5, 0.5]), ramp=0.2).gates_TE[0, 1]
    assert 0 <= float(gate) < 2e-5


def test_top_k_runs_exactly_k_experts_and_its_margin_counts_from_the_first_loser() -> None:
    """k = 2 of scores 1, .5, .25: the margin of the first is 1 - .25."""
    routing = decide_top_k(torch.tensor([[math.log(2), math.log(4), 0.0]]), k=2)
    assert routing.gates_TE.tolist() == [[1.0, 1.0, 0.0]]
    torch.testing.assert_close(routing.margins_TE, torch.tensor([[0.25, 0.75, 0.0]]))


@given(
    st.lists(st.lists(st.floats(-8, 8, width=32), min_size=5, max_size=5), min_size=1, max_size=6),
    st.floats(0, 0.95),
    st.integers(0, 4),
)
def test_a_smaller_threshold_never_switches_an_expert_off(rows: list[list[float]], tau: float, shift: int) -> None:
    """The dial is monotone, at least one expert runs, and permuted experts give permuted decisions."""
    logits = torch.tensor(rows)
    offsets = torch.tensor([1.0, 0.9, 1.1, 1.0, 0.95])
    low, high = decide(logits, offsets * tau * 0.7, 0.2), decide(logits, offsets * tau, 0.2)
    loses = (high.gates_TE > 0) & (low.gates_TE == 0)
    # the floor expert of the sparser setting may be replaced, never an expert that passed
    assert not bool((loses & (high.margins_TE > 0)).any())
    assert bool(((low.gates_TE > 0).sum(dim=1) >= 1).all())
    rolled = decide(logits.roll(shift, dims=1), (offsets * tau).roll(shift), 0.2)
    passed = (high.margins_TE > 0).roll(shift, dims=1)
    assert torch.equal(rolled.margins_TE > 0, passed)

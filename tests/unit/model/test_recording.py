"""Decision records against a loop over tokens, layers and experts."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_core.model.encoder import pack
from moe_core.model.recording import counted, decisions_of
from moe_core.model.router import Routing, decide
from moe_core.records import DecisionFlag


def slow_reference(texts: list[list[int]], routings: list[Routing], packed_start: dict[int, int]) -> list[tuple]:
    """(request, position, layer, expert, rank, selected, floor) in the order of the log."""
    rows = []
    for request, ids in enumerate(texts):
        for position in range(len(ids)):
            token = packed_start[request] + position
            for layer, routing in enumerate(routings):
                margins = routing.margins_TE[token].tolist()
                gates = routing.gates_TE[token].tolist()
                winners = sorted((e for e in range(len(gates)) if gates[e] > 0), key=lambda e: -margins[e])
                losers = sorted((e for e in range(len(gates)) if gates[e] == 0), key=lambda e: -margins[e])
                for rank, expert in enumerate(winners + losers[:1]):
                    floor = rank == 0 and bool(routing.floor_T[token])
                    rows.append((request, position, layer, expert, rank, rank < len(winners), floor))
    return rows


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.floats(0, 1.4), st.integers(0, 1000))
def test_every_executed_expert_and_the_best_loser_are_recorded_once(lengths: list[int], tau: float, seed: int) -> None:
    """The vectorised records equal the loop, for any lengths and thresholds."""
    texts = [list(range(1, n + 1)) for n in lengths]
    packed = pack(texts)
    generator = torch.Generator().manual_seed(seed)
    routings = [decide(torch.randn(sum(lengths), 4, generator=generator), torch.full((4,), tau), 0.2) for _ in range(2)]
    batch = decisions_of(packed, routings, range(len(texts)))
    starts, start = {}, 0
    for place, length in zip(packed.order_B, packed.lengths_B, strict=True):
        starts[place], start = start, start + length
    recorded = list(
        zip(batch.request_index_N.tolist(), batch.position_N.tolist(), batch.layer_N.tolist(),
            batch.expert_id_N.tolist(), batch.rank_N.tolist(), batch.selected_N.tolist(),
            (batch.flags_N & DecisionFlag.FLOOR).astype(bool).tolist(), strict=True)
    )  # fmt: skip
    assert recorded == slow_reference(texts, routings, starts)


def test_probabilities_are_the_softmax_of_the_logits_and_losers_have_no_gate_weight() -> None:
    """All experts on: the probabilities of a (token, layer) sum to 1; one off: its gate weight is 0."""
    packed = pack([[1, 2, 3]])
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    everything = decisions_of(packed, [decide(logits, torch.zeros(4), 0.2)], [0])
    np.testing.assert_allclose(np.bincount(everything.position_N, weights=everything.prob_N), np.ones(3), rtol=1e-5)
    sparse = decisions_of(packed, [decide(logits, torch.full((4,), 0.8), 0.2)], [0])
    assert (sparse.gate_weight_N[~sparse.selected_N] == 0).all()
    assert (sparse.gate_weight_N[sparse.selected_N] > 0).all()


def test_equal_margins_are_ranked_by_expert_number() -> None:
    """All 16 scores are equal: those that ran and those that did not stand in order, the best loser is the first."""
    packed, logits = pack([[1, 2]]), torch.zeros(2, 16)
    everything = decisions_of(packed, [decide(logits, torch.full((16,), 0.5), 0.2)], [0])
    assert everything.expert_id_N.tolist() == list(range(16)) * 2
    left = torch.arange(16) >= 10
    some = decisions_of(packed, [decide(logits, torch.full((16,), 0.5), 0.2, left)], [0])
    assert some.expert_id_N.tolist() == [10, 11, 12, 13, 14, 15, 0] * 2


def test_decisions_are_counted_without_being_made() -> None:
    """For texts of any length, also where every expert ran and nobody was left to be the runner-up."""
    texts = [[1, 2, 3, 4], [1], [1, 2]]
    packed = pack(texts)
    logits = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    for tau in (0.0, 0.5, 2.0):
        routings = [decide(logits, torch.full((4,), tau), 0.2), decide(-logits, torch.full((4,), tau), 0.2)]
        made = decisions_of(packed, routings, range(3)).request_index_N
        assert counted(packed, routings) == np.bincount(made, minlength=3).tolist()

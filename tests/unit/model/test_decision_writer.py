"""The compiled decision records against those of numpy, for every kind of routing."""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_core.model import decision_writer
from moe_core.model.encoder import PackedTexts, pack
from moe_core.model.recording import Answered, counted
from moe_core.model.router import Routing, decide, decide_top_k
from moe_core.records import RoutingBatch

pytestmark = pytest.mark.skipif(decision_writer.WRITE is None, reason="the compiled part was not built: no compiler")
E = 6


def answered(texts: PackedTexts, routings: Sequence[Routing]) -> Answered:
    ids = [str(i) for i in range(len(texts.order_B))]
    return Answered(ids, texts, routings, sum(counted(texts, routings)), list)


def by_numpy(parts: Sequence[Answered]) -> RoutingBatch:
    compiled, decision_writer.WRITE = decision_writer.WRITE, None
    try:
        return parts[0].decisions(parts[1:])
    finally:
        decision_writer.WRITE = compiled


def assert_equal(found: RoutingBatch, expected: RoutingBatch) -> None:
    for field in fields(RoutingBatch):
        a, b = getattr(found, field.name), getattr(expected, field.name)
        assert a.dtype == b.dtype, field.name
        if field.name == "prob_N":
            np.testing.assert_allclose(a, b, atol=1e-6)
        else:
            np.testing.assert_array_equal(a, b, err_msg=field.name)


def routing(kind: str, logits_TE: torch.Tensor, tau: float, lost: int) -> Routing:
    left = torch.arange(E) != lost
    if kind == "adaptive":
        return decide(logits_TE, torch.full((E,), tau), 0.2)
    if kind == "lost":
        return decide(logits_TE, torch.full((E,), tau), 0.2, left)
    if kind == "topk":
        return decide_top_k(logits_TE, 2)
    return decide_top_k(logits_TE, 2, left)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), min_size=1, max_size=3),
    st.sampled_from(["adaptive", "lost", "topk", "topk-lost"]),
    st.sampled_from([0.0, 0.05, 0.4, 0.9, 1.4]),
    st.integers(0, 2**31),
    st.booleans(),
)
def test_the_compiled_records_are_those_of_numpy(
    calls: list[list[int]], kind: str, tau: float, seed: int, coarse: bool
) -> None:
    """For one or more calls of texts of any length, thresholds that let all, some or only the floor through, lost
    experts, and equal scores: the same records in the same order, probabilities to rounding."""
    generator, parts = torch.Generator().manual_seed(seed), []
    for lengths in calls:
        packed = pack([list(range(1, n + 1)) for n in lengths])
        logits = [torch.randn(sum(lengths), E, generator=generator) for _ in range(3)]
        if coarse:
            logits = [each.round() for each in logits]
        parts.append(answered(packed, [routing(kind, each, tau, seed % E) for each in logits]))
    assert_equal(parts[0].decisions(parts[1:]), by_numpy(parts))


def test_views_of_a_larger_tensor_are_read_right() -> None:
    """Scores that lie scattered in memory are copied first, not read as if they were whole."""
    packed = pack([[1, 2, 3], [1]])
    whole = decide(torch.randn(4, E), torch.full((E,), 0.4), 0.2)
    wide = torch.stack([whole.logits_TE, whole.logits_TE + 1], dim=2)
    scattered = Routing(wide[:, :, 0], whole.scores_TE, whole.thresholds_E, whole.gates_TE, whole.floor_T)
    assert not scattered.logits_TE.is_contiguous()
    assert_equal(answered(packed, [scattered]).decisions(()), by_numpy([answered(packed, [whole])]))


@pytest.mark.parametrize("wrong", [-1, 1])
def test_a_wrong_number_of_decisions_is_an_error(wrong: int) -> None:
    """Never a write behind the end, never rows that nobody filled."""
    packed = pack([[1, 2]])
    made = [decide(torch.randn(2, E), torch.full((E,), 0.4), 0.2)]
    with pytest.raises(ValueError, match="were announced"):
        decision_writer.written([(packed, made)], sum(counted(packed, made)) + wrong)


def test_more_experts_than_the_compiled_pass_holds_are_left_to_numpy() -> None:
    """1,025 experts: the same records, the other way."""
    many = decision_writer.MOST_EXPERTS + 1
    made = [decide(torch.randn(1, many), torch.full((many,), 0.4), 0.2)]
    assert not decision_writer.fits(made)
    assert len(answered(pack([[1]]), made).decisions(())) == sum(counted(pack([[1]]), made))

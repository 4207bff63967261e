"""FLOPs against sums written out by hand."""

import torch

from moe_core.bench.counting import count, count_routed
from moe_core.bench.variants import Variant, half
from moe_core.model.baseline_routing import decide_random_k, decide_threshold, decide_top_p, match
from moe_core.model.encoder import Encoder, pack
from moe_core.model.router import decide_top_k

D, H, LAYERS, EXPERTS, ROUTER = 16, 32, 2, 4, 8
BATCH = [[1, 2, 3], [4, 5, 6, 7, 8]]


def hand_attention(lengths: list[int]) -> int:
    return sum(2 * LAYERS * (n * 4 * D * D + 2 * n * n * D) for n in lengths)


def test_routed_flops_are_the_sum_written_out_by_hand(tiny_dense: Encoder, tiny_sparse: Encoder) -> None:
    """Two of four experts: attention, routers, and half of the feed-forward products."""
    variant = Variant(
        name="topk@2", encoder=tiny_sparse, route=lambda _, z: decide_top_k(z, 2), rule="topk", budget=0.5
    )
    counted = count(variant, [BATCH], tiny_dense.config)
    dense_ffn = 2 * LAYERS * 8 * 2 * D * H
    assert counted.tokens == 8
    assert counted.active == 0.5
    assert counted.dense == hand_attention([3, 5]) + dense_ffn
    assert counted.dense_ffn == dense_ffn
    routers = 2 * LAYERS * 8 * (D * ROUTER + ROUTER * EXPERTS)
    extra = counted.expert - routers - dense_ffn // 2
    assert 0 <= extra <= 2 * LAYERS * 8 * EXPERTS * D  # the experts' mean outputs, if they are counted
    assert counted.encoder == hand_attention([3, 5]) + counted.expert
    assert counted.executed >= counted.encoder - extra


def test_the_dense_original_costs_exactly_itself(tiny_dense: Encoder) -> None:
    """All ratios of the dense row are 1, those of the products that ran too."""
    counted = count(Variant(name="dense", encoder=tiny_dense), [BATCH], tiny_dense.config)
    assert counted.encoder == counted.executed == counted.dense
    assert counted.expert == counted.dense_ffn
    assert counted.active == 1.0


def test_the_count_does_not_depend_on_how_texts_are_batched(tiny_dense: Encoder, tiny_sparse: Encoder) -> None:
    """No padding is counted."""
    route = lambda _, z: decide_top_k(z, 1)  # noqa: E731
    variant = Variant(name="topk@1", encoder=tiny_sparse, route=route, rule="topk", budget=0.25)
    together = count(variant, [BATCH], tiny_dense.config)
    apart = count(variant, [[text] for text in BATCH], tiny_dense.config)
    assert (together.encoder, together.expert, together.active) == (apart.encoder, apart.expert, apart.active)


def test_a_routing_seen_earlier_counts_the_same(tiny_dense: Encoder, tiny_sparse: Encoder) -> None:
    """Counting from collected routings and counting while running agree."""
    variant = Variant(name="topk@1", encoder=tiny_sparse, route=lambda _, z: decide_top_k(z, 1), budget=0.25)
    with torch.inference_mode():
        packed = pack(BATCH)
        _, routings = tiny_sparse(packed, variant.route)
    counted = count(variant, [BATCH], tiny_dense.config)
    assert count_routed(variant, [(packed, routings)], tiny_dense.config, counted.executed) == counted


def test_random_k_takes_k_of_any_and_the_same_again_for_the_same_seed() -> None:
    """Blind to the scores, and repeatable."""
    logits_TE = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    first, second = (decide_random_k(logits_TE, 3, torch.Generator().manual_seed(5)).gates_TE for _ in range(2))
    assert torch.equal(first, second)
    assert bool((first.sum(dim=1) == 3).all())
    assert float(first.mean(dim=0).std()) < 0.06


def test_top_p_takes_the_fewest_experts_that_reach_p() -> None:
    """Probabilities .5, .25, .125, .125: p = .5 needs one, p = .6 two, p = 1 all; p = 0 still one."""
    logits_TE = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log()
    taken = [int(decide_top_p(logits_TE, p).gates_TE.sum()) for p in (0.0, 0.5, 0.6, 0.8, 1.0)]
    assert taken == [1, 1, 2, 3, 4]


def test_a_plain_threshold_keeps_what_passes_and_always_the_strongest() -> None:
    """Scores 1, .5, .2: thresholds .1, .4 and 1."""
    logits_TE = torch.tensor([[1.0, 0.5, 0.2]]).log()
    assert [int(decide_threshold(logits_TE, t).gates_TE.sum()) for t in (0.1, 0.4, 1.0)] == [3, 2, 1]


def test_a_knob_is_matched_from_both_sides() -> None:
    """Share rising or falling with the knob."""
    assert abs(match(lambda p: p * p, 0.25, rising=True, steps=16) - 0.5) < 1e-4
    assert abs(match(lambda t: 1 - t, 0.25, rising=False, steps=16) - 0.75) < 1e-4


def test_the_half_precision_copy_routes_as_before_and_leaves_the_original(tiny_sparse: Encoder) -> None:
    """Routers stay in float32; the shipped weights are not touched."""
    variant = Variant(name="x", encoder=tiny_sparse, route=lambda _, z: decide_top_k(z, 2), budget=0.5)
    copy = half(variant, "x-bf16")
    assert copy.precision == "bfloat16"
    assert {p.dtype for p in tiny_sparse.parameters()} == {torch.float32}
    a_BD, b_BD = variant.embed(BATCH), copy.embed(BATCH)
    assert b_BD.dtype == torch.float32
    assert float((a_BD * b_BD).sum(dim=1).min()) > 0.95

"""Counts products: what the routing asked for, and what the dispatch really multiplied."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from moe_core.bench.variants import Variant
from moe_core.model import costs
from moe_core.model.encoder import EncoderConfig, PackedTexts
from moe_core.model.router import Routing


@dataclass(frozen=True, slots=True)
class Count:
    """Floating-point operations (2 per multiply-add) over `tokens` tokens.

    encoder: attention, routers and the (token, expert) pairs that were routed; expert: the last two; executed: products
    that ran, which is more where running an expert on all tokens of a block is faster; dense and dense_ffn: the same of
    the dense original; active: routed share of all (token, layer, expert) pairs.
    """

    tokens: int
    encoder: int
    expert: int
    executed: int
    dense: int
    dense_ffn: int
    active: float


def count(variant: Variant, batches: Sequence[Sequence[Sequence[int]]], dense: EncoderConfig) -> Count:
    """Runs the variant on the batches under PyTorch's counter of executed products.

    Attention is written out for it, because the counter does not look into the fused kernel.
    """
    seen: list[tuple[PackedTexts, list[Routing]]] = []
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        for batch in batches:
            variant.embed(batch, seen)
    return count_routed(variant, seen, dense, counter.get_total_flops())


def count_routed(
    variant: Variant, seen: Sequence[tuple[PackedTexts, list[Routing]]], dense: EncoderConfig, executed: int
) -> Count:
    """The same from routings that were collected before."""
    config = variant.encoder.config
    lengths = [length for packed, _ in seen for length in packed.lengths_B]
    tokens = sum(lengths)
    dense_flops = sum(costs.dense_flops(dense, length) for length in lengths)
    dense_width = dense.d_model // dense.n_heads
    dense_ffn = dense_flops - sum(costs.attention_flops(dense, length, dense_width) for length in lengths)
    if variant.route is None:
        own = sum(costs.dense_flops(config, length) for length in lengths)
        attention = sum(costs.attention_flops(config, length, config.query_width) for length in lengths)
        return Count(tokens, own, own - attention, executed, dense_flops, dense_ffn, 1.0)
    pairs = sum(int((routing.gates_TE > 0).sum()) for _, routings in seen for routing in routings)
    attention = sum(costs.attention_flops(config, length, config.query_width) for length in lengths)
    # costs are linear in the pairs, so the sum over texts needs no split by text
    expert = sum(costs.routed_flops(config, n, 0) for n in lengths) - attention
    expert += costs.routed_flops(config, 0, pairs)
    active = pairs / (tokens * config.n_layers * config.n_experts)
    return Count(tokens, attention + expert, expert, executed, dense_flops, dense_ffn, active)

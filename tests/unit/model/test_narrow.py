"""Narrow queries and keys: the best approximation of the attention scores, and what is stored of it."""

from pathlib import Path

import pytest
import torch

from moe_core.model import checkpoint
from moe_core.model.costs import attention_flops
from moe_core.model.encoder import Encoder, EncoderConfig, EncoderLayer, PackedTexts, pack, pool
from moe_core.model.narrow import narrow_query_keys, narrowed, with_width
from moe_core.model.split import neuron_order, split_into_experts


@pytest.fixture
def texts() -> list[PackedTexts]:
    generator = torch.Generator().manual_seed(1)
    rows = [torch.randint(1, 50, (n,), generator=generator).tolist() for n in (3, 5, 8, 8, 12, 20)]
    return [pack(rows), pack(rows[::-1])]


def first_attention(encoder: Encoder) -> torch.nn.Module:
    layer = encoder.layers[0]
    assert isinstance(layer, EncoderLayer)
    return layer.attention


def test_queries_and_keys_that_use_half_the_rank_are_narrowed_without_loss(
    tiny_dense: Encoder, texts: list[PackedTexts]
) -> None:
    """Heads of width 4 whose query rows span only 2 dimensions: at width 2 the embeddings stay the same."""
    for layer in tiny_dense.layers:
        assert isinstance(layer, EncoderLayer)
        qkv = layer.attention.qkv
        for head in range(4):  # the second half of each query head repeats the first
            qkv.weight[head * 4 + 2 : head * 4 + 4] = qkv.weight[head * 4 : head * 4 + 2]
            qkv.bias[head * 4 + 2 : head * 4 + 4] = qkv.bias[head * 4 : head * 4 + 2]
    narrow = narrow_query_keys(tiny_dense, 2, texts)
    for packed in texts:
        before, after = pool(tiny_dense(packed)[0], packed), pool(narrow(packed)[0], packed)
        assert (before * after).sum(dim=1).min() > 1 - 1e-4  # the maps are stored with 16 bits


def test_a_fitted_narrow_head_is_closer_than_leaving_rows_out(tiny_dense: Encoder, texts: list[PackedTexts]) -> None:
    """Against a head that simply keeps its first two query and key rows."""
    fitted = narrow_query_keys(tiny_dense, 2, texts).requires_grad_(False)
    cut = with_width(tiny_dense, 2).requires_grad_(False)
    keep = torch.zeros(4, 2, 4)
    keep[:, 0, 0] = keep[:, 1, 1] = 0.5**0.25  # softmax divides by sqrt(2) instead of sqrt(4)
    for source, target in zip(tiny_dense.layers, cut.layers, strict=True):
        assert isinstance(source, EncoderLayer)
        assert isinstance(target, EncoderLayer)
        weight, bias = narrowed(source.attention.qkv.weight, source.attention.qkv.bias, keep, keep)
        target.attention.qkv.weight.copy_(weight)
        target.attention.qkv.bias.copy_(bias)
    packed = texts[0]
    dense = pool(tiny_dense(packed)[0], packed)
    cosines = [float((pool(e(packed)[0], packed) * dense).sum(dim=1).mean()) for e in (fitted, cut)]
    assert cosines[0] > cosines[1]


@pytest.mark.parametrize("width", [0, 4, 5, -1])
def test_a_width_that_is_not_narrower_is_refused(tiny_dense: Encoder, texts: list[PackedTexts], width: int) -> None:
    """Heads of the tiny encoder are 4 wide."""
    with pytest.raises(ValueError, match="cannot be narrowed"):
        narrow_query_keys(tiny_dense, width, texts)


def test_a_narrow_model_is_stored_and_loaded(tiny_dense: Encoder, texts: list[PackedTexts], tmp_path: Path) -> None:
    """Maps are kept with 16 bits, the trained difference with 8: embeddings of the loaded model are the same."""
    student = split_into_experts(tiny_dense, n_experts=4, router_hidden=8, ramp=0.2, seed=0)
    student = narrow_query_keys(student, 2, texts)
    with torch.no_grad():
        for parameter in first_attention(student).parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    orders = [neuron_order(layer.ffn, 4, seed=i) for i, layer in enumerate(tiny_dense.layers)]  # type: ignore[arg-type]
    checkpoint.save_dense(tmp_path, tiny_dense)
    checkpoint.save_adapted(tmp_path, student, tiny_dense, orders)
    checkpoint.save_config(tmp_path, student.config, {})
    loaded, dense, _ = checkpoint.load_encoders(tmp_path)
    assert loaded.config.qk_width == 2
    assert dense.config.qk_width == 0
    packed = texts[0]
    assert torch.allclose(pool(loaded(packed)[0], packed), pool(student(packed)[0], packed), atol=2e-3)


def test_attention_costs_are_counted_with_the_narrow_width() -> None:
    """By hand: D = 8, 2 heads, queries 2 wide, 3 tokens, 1 layer."""
    config = EncoderConfig(d_model=8, n_heads=2, n_layers=1)
    projections = 3 * (8 * 4 + 8 * 4 + 8 * 8 + 8 * 8)
    scores, mixing = 3 * 3 * 4, 3 * 3 * 8
    assert attention_flops(config, 3, 2) == 2 * (projections + scores + mixing)

"""Narrower queries and keys: attention scores of fewer multiply-adds, fitted to what the model reads.

A head's score of token i for token j is x_i' Wq' Wk x_j: only the product Wq' Wk matters. Its best approximation of a
lower rank, in the mean over tokens, is a singular value decomposition weighted with the inputs' second moments. For
all-MiniLM-L6-v2 half of the rank costs .02 of cosine before any training, while values and outputs cost .14
(docs/experiments.md): so only queries and keys are narrowed.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from moe_core.model.encoder import Encoder, EncoderLayer, PackedTexts


@torch.no_grad()
def narrow_query_keys(encoder: Encoder, qk_width: int, texts: Sequence[PackedTexts]) -> Encoder:
    """An Encoder with query and key heads of `qk_width`, fitted on the inputs that `encoder` sees with all experts on.

    Raises ValueError unless 0 < qk_width < width of the present heads.
    """
    width = encoder.config.query_width
    if not 0 < qk_width < width:
        raise ValueError(f"Query and key heads of width {width} cannot be narrowed to {qk_width}.")
    moments = input_moments(encoder, texts)
    result = with_width(encoder, qk_width)
    for layer, narrow, moment_II in zip(encoder.layers, result.layers, moments, strict=True):
        assert isinstance(layer, EncoderLayer)
        assert isinstance(narrow, EncoderLayer)
        rows = _augmented(layer, encoder.config.d_model)
        n_heads, rest = encoder.config.n_heads, 2 * encoder.config.n_heads * width
        query_AWI, key_AWI = (part.view(n_heads, width, -1) for part in rows[:rest].chunk(2))
        maps = [_head_maps(query_AWI[h], key_AWI[h], moment_II, qk_width) for h in range(n_heads)]
        attention = narrow.attention
        attention.query_map_AKW.copy_(torch.stack([query for query, _ in maps]).half())
        attention.key_map_AKW.copy_(torch.stack([key for _, key in maps]).half())
        weight, bias = narrowed(
            layer.attention.qkv.weight, layer.attention.qkv.bias, attention.query_map_AKW, attention.key_map_AKW
        )
        attention.qkv.weight.copy_(weight)
        attention.qkv.bias.copy_(bias)
    return result


def with_width(encoder: Encoder, qk_width: int) -> Encoder:
    """The same encoder, its query and key rows still to be filled."""
    result = replace(encoder.config, qk_width=qk_width).build()
    kept = {k: v for k, v in encoder.state_dict().items() if ".attention.qkv." not in k}
    result.load_state_dict(kept, strict=False)
    return result


def narrowed(weight_PD: Tensor, bias_P: Tensor, query_map_AKW: Tensor, key_map_AKW: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of query, key and value with the maps applied to the original's query and key heads."""
    n_heads, _, width = query_map_AKW.shape
    rows_PI = torch.cat([weight_PD, bias_P.unsqueeze(1)], dim=1)
    query_AWI, key_AWI = (part.view(n_heads, width, -1) for part in rows_PI[: 2 * n_heads * width].chunk(2))
    query, key = query_map_AKW @ query_AWI, key_map_AKW @ key_AWI
    result = torch.cat([query.flatten(0, 1), key.flatten(0, 1), rows_PI[2 * n_heads * width :]])
    return result[:, :-1].contiguous(), result[:, -1].contiguous()


def input_moments(encoder: Encoder, texts: Sequence[PackedTexts]) -> list[Tensor]:
    """For every layer, the second moments of its attention's inputs with a 1 appended, (D + 1, D + 1) float64."""
    size = encoder.config.d_model + 1
    moments = [torch.zeros(size, size, dtype=torch.float64) for _ in encoder.layers]
    tokens = sum(len(packed.ids_T) for packed in texts)
    for packed in texts:
        x_TD = encoder.embeddings(packed)
        for layer, moment_II in zip(encoder.layers, moments, strict=True):
            assert isinstance(layer, EncoderLayer)
            x_TI = torch.cat([x_TD, torch.ones(len(x_TD), 1)], dim=1).double()
            moment_II += x_TI.T @ x_TI / tokens
            a_TD = layer.attend(x_TD, packed.groups)
            x_TD = layer.ffn_norm(a_TD + layer.ffn(a_TD))
    return moments


def _augmented(layer: EncoderLayer, d_model: int) -> Tensor:
    qkv = layer.attention.qkv
    assert qkv.weight.shape[1] == d_model
    return torch.cat([qkv.weight, qkv.bias.unsqueeze(1)], dim=1).double()


def _head_maps(query_WI: Tensor, key_WI: Tensor, moment_II: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(query map, key map), (rank, W) each: narrow rows = map @ original rows. Scores keep their scale."""
    values, vectors = torch.linalg.eigh(moment_II)
    root = values.clamp(min=float(values.max()) * 1e-9).sqrt()
    half_II, inverse_II = (vectors * root) @ vectors.T, (vectors / root) @ vectors.T
    left, strength, right = torch.linalg.svd(half_II @ query_WI.T @ key_WI @ half_II)
    scale = strength[:rank].sqrt() * (rank / len(query_WI)) ** 0.25  # softmax divides by sqrt(rank), not sqrt(W)
    query_RI = (left[:, :rank] * scale).T @ inverse_II
    key_RI = (scale.unsqueeze(1) * right[:rank]) @ inverse_II
    query_map, key_map = query_RI @ torch.linalg.pinv(query_WI), key_RI @ torch.linalg.pinv(key_WI)
    assert math.isfinite(float(query_map.sum() + key_map.sum()))
    return query_map.float(), key_map.float()

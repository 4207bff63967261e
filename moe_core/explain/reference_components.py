"""Takes the reference model apart at one position: what every head and expert adds on the way to one router.

The encoder runs once, as it answers, and keeps each layer's input. From these the one position is computed again in
float64: the pattern of attention, every head's slice of the output map, every executed expert's output. An expert that
does not run contributes its mean output, so an expert's vector is its gate times (output minus mean), and all means
are a constant.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from moe_core.explain.components import Array, Norm, Part, Path, Reader, Stage
from moe_core.explain.rules import Rule, ThresholdRule, TopKRule
from moe_core.model.encoder import Attention, Embeddings, EncoderLayer, pack
from moe_core.model.layers import ExpertFeedForward
from moe_core.model.reference import RoutedModel
from moe_core.model.router import AdaptiveRoute, Router, Routing, decide_top_k
from moe_core.model.session import Session
from moe_core.model.split import expert_layers


@dataclass(frozen=True, slots=True)
class Routed:
    """One text run through the first layers: their inputs x_TD and what their routers decided."""

    ids: tuple[int, ...]
    inputs: list[Tensor]
    routings: list[Routing]


def array(tensor: Tensor) -> Array:
    """A tensor as float64."""
    values: NDArray[np.float64] = tensor.detach().numpy().astype(np.float64)
    return values


def run_layers(model: RoutedModel, session: Session, ids: list[int], n_layers: int) -> Routed:
    """Runs one text through the first `n_layers` layers as the session would."""

    def top_k(layer: int, logits_TE: Tensor) -> Routing:
        return decide_top_k(logits_TE, session.top_k, session.available[layer])

    route = top_k if session.setting.mode == "topk" else AdaptiveRoute(session.thresholds, session.available)
    inputs: list[Tensor] = []
    with torch.inference_mode():
        _, routings = model.adapted(pack([ids]), route, inputs=inputs, until=n_layers)
    return Routed(tuple(ids), inputs, routings)


def rule_of(session: Session, layer: int) -> Rule:
    """The rule that decides in a layer."""
    n_experts, available = session.model.config.n_experts, session.available[layer]
    available_E = np.ones(n_experts, np.bool_) if available is None else available.numpy()
    if session.setting.mode == "topk":
        return TopKRule(session.top_k, available_E)
    return ThresholdRule(array(session.thresholds[layer].values_E), available_E)


def path_to_router(model: RoutedModel, routed: Routed, position: int, layer: int) -> Path:
    """What the input of one router is made of, at one position."""
    embeddings, layers = model.adapted.embeddings, model.adapted.layers
    stages = [_embedded(embeddings, routed.ids[position], position)]
    stream_D = stages[0].norm(stages[0].vectors_CD.sum(axis=0))
    for index in range(layer + 1):
        block = layers[index]
        assert isinstance(block, EncoderLayer)
        stages.append(_attended(block, index, array(routed.inputs[index]), position))
        stream_D = stages[-1].norm(stream_D + stages[-1].vectors_CD.sum(axis=0))
        assert isinstance(block.ffn, ExpertFeedForward)
        if index < layer:
            gates_E = array(routed.routings[index].gates_TE[position])
            stages.append(_experts(block.ffn, block.ffn_norm, index, stream_D, gates_E))
            stream_D = stages[-1].norm(stream_D + stages[-1].vectors_CD.sum(axis=0))
    last = expert_layers(model.adapted)[layer].router
    return Path(tuple(stages), reader_of(last))


def reader_of(router: Router) -> Reader:
    inner, outer = router.inner, router.outer
    return Reader(array(inner.weight), array(inner.bias), array(outer.weight), array(outer.bias))


def norm_of(norm: nn.LayerNorm) -> Norm:
    return Norm(array(norm.weight), array(norm.bias), norm.eps, centred=True)


def _embedded(embeddings: Embeddings, token: int, position: int) -> Stage:
    vectors = torch.stack([embeddings.word.weight[token], embeddings.position.weight[position]])
    return Stage((Part("word"), Part("position")), array(vectors), norm_of(embeddings.norm), Part("norm"))


def _attended(block: EncoderLayer, layer: int, x_TD: Array, position: int) -> Stage:
    """Every head's output at one position, through its slice of the output map."""
    attention = block.attention
    values_AD = head_outputs(attention, x_TD, position)
    parts = [*(Part("head", layer, head) for head in range(len(values_AD))), Part("bias", layer, 0)]
    vectors = np.concatenate([values_AD, array(attention.output.bias)[None]])
    return Stage(tuple(parts), vectors, norm_of(block.attention_norm), Part("norm", layer, 0))


def head_outputs(attention: Attention, x_TD: Array, position: int) -> Array:
    """What each head adds at a position, (heads, D); the value's own bias is in it."""
    heads, width = attention.n_heads, attention.output.in_features // attention.n_heads
    narrow = heads * attention.query_width
    weight, bias = array(attention.qkv.weight), array(attention.qkv.bias)
    query_AK = (weight[:narrow] @ x_TD[position] + bias[:narrow]).reshape(heads, -1)
    rest_TP = x_TD @ weight[narrow:].T + bias[narrow:]
    key_TAK, value_TAW = (part.reshape(len(x_TD), heads, -1) for part in (rest_TP[:, :narrow], rest_TP[:, narrow:]))
    scores_AT = np.einsum("ak,tak->at", query_AK, key_TAK) * attention.query_width**-0.5
    scores_AT = np.exp(scores_AT - scores_AT.max(axis=1, keepdims=True))
    mixed_AW = np.einsum("at,taw->aw", scores_AT / scores_AT.sum(axis=1, keepdims=True), value_TAW)
    slices_DAW = array(attention.output.weight).reshape(-1, heads, width)
    outputs_AD: Array = np.einsum("aw,daw->ad", mixed_AW, slices_DAW)
    return outputs_AD


def _experts(ffn: ExpertFeedForward, norm: nn.LayerNorm, layer: int, stream_D: Array, gates_E: Array) -> Stage:
    """Every executed expert's gate times (output minus mean); the means and the bias are one constant."""
    means_ED, width = array(ffn.mean_ED), ffn.expert_width
    ran = [int(e) for e in np.flatnonzero(gates_E > 0)]
    gelu = Reader(np.empty((0, 0)), np.empty(0), np.eye(width), np.zeros(width)).from_inner
    vectors = []
    for expert in ran:
        rows = slice(expert * width, (expert + 1) * width)
        hidden_F = gelu(array(ffn.w1_HD[rows]) @ stream_D + array(ffn.b1_H[rows]))
        vectors.append(gates_E[expert] * (hidden_F @ array(ffn.w2_HD[rows]) - means_ED[expert]))
    constant_D = array(ffn.b2_D) + means_ED.sum(axis=0)
    parts = (*(Part("expert", layer, expert) for expert in ran), Part("bias", layer, 1))
    return Stage(parts, np.stack([*vectors, constant_D]), norm_of(norm), Part("norm", layer, 1))

"""The text encoder: BERT-style layers over packed tokens, with dense or routed feed-forward blocks.

Texts are packed one behind the other without padding; attention runs over groups of texts of equal length.
So padding cannot be routed, logged or paid for, and a text's numbers do not depend on its neighbours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_core.model import short_text
from moe_core.model.dispatch import few_tokens
from moe_core.model.layers import DenseFeedForward, ExpertFeedForward
from moe_core.model.prepared import REPLACEMENTS, Derived, PreparedLinear, can_prepare
from moe_core.model.router import AdaptiveRoute, RouterConfig, Routing
from moe_core.model.whole import PreparedWhole

# Narrow heads want padding in the fused kernel. Microseconds a text of 72 / 96 / 128 tokens in groups of 16, one
# thread: fused 259 / 398 / 650, one text at a time 204 / 332 / 538; two threads 188 / 292 / 434 and 126 / 183 / 288.
FUSED_FROM = 160  # tokens of a text from which narrow heads go through the fused kernel
ALONE_FROM = 64  # from which one text at a time beats products over all texts of a length: scores stay in the cache
RouteLayer = Callable[[int, Tensor], Routing]


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderConfig:
    """Sizes of a BERT-family encoder. `n_experts` = 0 means: the dense original."""

    vocab_size: int = 30522
    n_positions: int = 512
    d_model: int = 384
    n_layers: int = 6
    n_heads: int = 12
    d_hidden: int = 1536
    layer_norm_eps: float = 1e-12
    n_experts: int = 16
    router_hidden: int = 32
    ramp: float = 0.2
    qk_width: int = 0  # width of a query and key head; 0: d_model / n_heads, as values have

    @property
    def query_width(self) -> int:
        """Width of one query (and key) head."""
        return self.qk_width or self.d_model // self.n_heads

    def router(self) -> RouterConfig:
        return RouterConfig(d_model=self.d_model, n_experts=self.n_experts, hidden=self.router_hidden, ramp=self.ramp)

    def build(self) -> "Encoder":
        return Encoder(self)


@dataclass(frozen=True, slots=True)
class PackedTexts:
    """Token ids of B texts, sorted by length and packed: ids_T, position_T int64; groups (texts, length);
    order_B: packed place -> place in the caller's list; lengths_B in packed order."""

    ids_T: Tensor
    position_T: Tensor
    groups: tuple[tuple[int, int], ...]
    order_B: tuple[int, ...]
    lengths_B: tuple[int, ...]


def pack(token_ids: Sequence[Sequence[int]]) -> PackedTexts:
    """Sorts texts by length (stable) and packs them; every text needs at least one token."""
    order_B = tuple(sorted(range(len(token_ids)), key=lambda i: len(token_ids[i])))
    lengths_B = tuple(len(token_ids[i]) for i in order_B)
    groups: list[tuple[int, int]] = []
    for length in lengths_B:
        if groups and groups[-1][1] == length:
            groups[-1] = (groups[-1][0] + 1, length)
        else:
            groups.append((1, length))
    ids_T = torch.tensor([t for i in order_B for t in token_ids[i]], dtype=torch.int64)
    position_T = torch.cat([torch.arange(length).repeat(count) for count, length in groups])
    return PackedTexts(ids_T, position_T, tuple(groups), order_B, lengths_B)


class Attention(nn.Module):
    """Multi-head self-attention inside each text; query, key and value in one product.

    Queries and keys may be narrower than values (`narrow.py`): they only decide who looks at whom.
    query_map_AKW and key_map_AKW (A heads, K narrow width, W width of the original's heads) say how the narrow rows
    arise from the original's; training moves on from there. In training and for short texts, plain products are faster
    than the fused kernel: backward in bfloat16 4 times, narrow heads 1.2 times (measured, one thread).
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.n_heads, self.query_width = config.n_heads, config.query_width
        width = config.d_model // config.n_heads
        self.qkv = PreparedLinear(config.d_model, 2 * config.n_heads * self.query_width + config.d_model)
        self.output = PreparedLinear(config.d_model, config.d_model)
        if config.qk_width:
            self.query_map_AKW: Tensor
            self.key_map_AKW: Tensor
            self.register_buffer("query_map_AKW", torch.zeros(config.n_heads, config.qk_width, width))
            self.register_buffer("key_map_AKW", torch.zeros(config.n_heads, config.qk_width, width))

    def forward(self, x_TD: Tensor, groups: Sequence[tuple[int, int]]) -> Tensor:
        d_model, narrow = x_TD.shape[1], self.n_heads * self.query_width
        qkv_TP = self.qkv(x_TD)
        mixed = []
        start = 0
        for count, length in groups:
            part_TP = qkv_TP[start : start + count * length]
            start += count * length
            if self.training or d_model == narrow or length >= FUSED_FROM:
                mixed.append(self._of_group(part_TP, count, length))
            elif count > 1 and length < ALONE_FROM:
                mixed.append(self._of_short_texts(part_TP, count, length))
            else:
                mixed += [self._of_one_text(text_SP) for text_SP in part_TP.view(count, length, -1)]
        result: Tensor = self.output(mixed[0] if len(mixed) == 1 else torch.cat(mixed))
        return result

    def _of_group(self, qkv_TP: Tensor, count: int, length: int) -> Tensor:
        """Mixed values (T, D) of texts of one length, in training and by the fused kernel."""
        q, k, v = self._heads(qkv_TP, count, length)
        scale, missing = self.query_width**-0.5, v.shape[3] - self.query_width
        if self.training:
            out = torch.softmax((q * scale) @ k.transpose(2, 3), dim=3) @ v
        else:  # the fused kernel wants equal widths: columns of 0 change no score
            if missing:
                q, k = F.pad(q, (0, missing)), F.pad(k, (0, missing))
            out = F.scaled_dot_product_attention(q, k, v, scale=scale)
        mixed_TD: Tensor = out.transpose(1, 2).reshape(count * length, -1)
        return mixed_TD

    def _of_short_texts(self, qkv_TP: Tensor, count: int, length: int) -> Tensor:
        """The same for narrow heads: two products for all texts and heads."""
        q, k, v = (part.reshape(count * self.n_heads, length, -1) for part in self._heads(qkv_TP, count, length))
        scores = torch.baddbmm(q.new_empty(1, 1, 1), q, k.transpose(1, 2), beta=0, alpha=self.query_width**-0.5)
        out = torch.bmm(torch.softmax(scores, dim=2), v).view(count, self.n_heads, length, -1)
        return out.transpose(1, 2).reshape(count * length, -1)

    def _heads(self, qkv_TP: Tensor, count: int, length: int) -> list[Tensor]:
        """Queries, keys and values of `count` texts, each (texts, heads, length, width)."""
        d_model, narrow = self.output.in_features, self.n_heads * self.query_width
        parts = torch.split(qkv_TP.view(count, length, -1), [narrow, narrow, d_model], dim=2)
        return [part.view(count, length, self.n_heads, -1).transpose(1, 2) for part in parts]

    def _of_one_text(self, qkv_SP: Tensor) -> Tensor:
        """The same for a single text, with views made at once instead of step by step."""
        (length, row), heads, narrow = qkv_SP.shape, self.n_heads, self.query_width
        wide, first = self.output.in_features // heads, qkv_SP.storage_offset()
        q_ASK = qkv_SP.as_strided((heads, length, narrow), (narrow, row, 1), first)
        k_AKS = qkv_SP.as_strided((heads, narrow, length), (narrow, 1, row), first + heads * narrow)
        v_ASW = qkv_SP.as_strided((heads, length, wide), (wide, row, 1), first + 2 * heads * narrow)
        scores_ASS = torch.baddbmm(qkv_SP.new_empty(1, 1, 1), q_ASK, k_AKS, beta=0, alpha=narrow**-0.5)
        return torch.bmm(torch.softmax(scores_ASS, dim=2), v_ASW).transpose(0, 1).reshape(length, -1)


class EncoderLayer(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.attention_norm = nn.LayerNorm(config.d_model, eps=config.layer_norm_eps)
        self.ffn: DenseFeedForward = (
            ExpertFeedForward(config.d_model, config.d_hidden, config.router())
            if config.n_experts
            else DenseFeedForward(config.d_model, config.d_hidden)
        )
        self.ffn_norm = nn.LayerNorm(config.d_model, eps=config.layer_norm_eps)

    def attend(self, x_TD: Tensor, groups: Sequence[tuple[int, int]]) -> Tensor:
        """The feed-forward block's input, which is also what the router reads."""
        normed_TD: Tensor = self.attention_norm(x_TD + self.attention(x_TD, groups))
        return normed_TD

    def routed(
        self, index: int, x_TD: Tensor, groups: Sequence[tuple[int, int]], route: RouteLayer,
        whole: PreparedWhole | None = None,
    ) -> tuple[Tensor, Routing]:  # fmt: skip
        """Output of layer number `index` with the experts that `route` chooses; `whole`: see `read`."""
        a_TD = self.attend(x_TD, groups)
        ffn = self.ffn
        assert isinstance(ffn, ExpertFeedForward)
        if whole is not None and whole.router is not None and isinstance(route, AdaptiveRoute):
            thresholds = route.plain(index)
            if thresholds is not None:
                y_TD, routing = short_text.run(whole, a_TD, thresholds)
                return self.ffn_norm(a_TD + y_TD), routing
        logits_TE, begun = ffn.read(a_TD, whole)
        routing = route(index, logits_TE)
        return self.ffn_norm(a_TD + ffn.forward_routed(a_TD, routing, begun)), routing


class Embeddings(nn.Module):
    """Word plus position embedding, normalised. (The single token type is folded into the positions.)"""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, config.d_model)
        self.position = nn.Embedding(config.n_positions, config.d_model)
        self.norm = nn.LayerNorm(config.d_model, eps=config.layer_norm_eps)

    def forward(self, texts: PackedTexts) -> Tensor:
        x_TD: Tensor = self.norm(self.word(texts.ids_T) + self.position(texts.position_T))
        return x_TD


class Encoder(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.layers: nn.ModuleList = nn.ModuleList(EncoderLayer(config) for _ in range(config.n_layers))
        self._wholes: Derived[tuple[PreparedWhole, ...]] = Derived(tuple)
        self._blocks: list[ExpertFeedForward] = []
        self._tensors: list[Tensor] = []
        self._replacements = -1

    def forward(
        self, texts: PackedTexts, route: RouteLayer | None = None, *,
        inputs: list[Tensor] | None = None, until: int | None = None,
    ) -> tuple[Tensor, list[Routing]]:  # fmt: skip
        """Returns (hidden_TD of the last layer, one Routing a layer; empty for the dense model).

        `route(layer, logits_TE)` decides; without it every expert runs and no router is asked. inputs: is given every
        layer's input x_TD, for who takes them apart; until: number of layers to run, None for all.
        """
        x_TD = self.embeddings(texts)
        routings: list[Routing] = []
        wholes = self._wholes_for(x_TD) if route is not None else ()
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, EncoderLayer)
            if index == until:
                break
            if inputs is not None:
                inputs.append(x_TD)
            if route is None:
                a_TD = layer.attend(x_TD, texts.groups)
                x_TD = layer.ffn_norm(a_TD + layer.ffn(a_TD))
            else:
                x_TD, routing = layer.routed(index, x_TD, texts.groups, route, wholes[index] if wholes else None)
                routings.append(routing)
        return x_TD, routings

    def _wholes_for(self, x_TD: Tensor) -> tuple[PreparedWhole, ...]:
        """`ExpertFeedForward.whole_for` of every layer, or nothing: asked once a call, since between the products of a
        short text a look at nine weights costs 20 us a layer."""
        if len(x_TD) > few_tokens():
            return ()
        if self._replacements != REPLACEMENTS.count:
            self._blocks = [layer.ffn for layer in self.layers if isinstance(layer.ffn, ExpertFeedForward)]
            self._tensors = [tensor for block in self._blocks for tensor in block.whole_tensors()]
            self._replacements = REPLACEMENTS.count
        if not can_prepare(x_TD, self._tensors[0]):
            return ()
        wholes = self._wholes.of(*self._tensors, make=self._prepare_wholes)
        return wholes if all(whole.usable for whole in wholes) else ()

    def _prepare_wholes(self, *_: Tensor) -> tuple[PreparedWhole, ...]:
        return tuple(block.prepared_whole() for block in self._blocks)


def pool(hidden_TD: Tensor, texts: PackedTexts) -> Tensor:
    """Mean over each text's tokens, L2-normalised: embeddings_BD in the caller's order."""
    pooled = []
    start = 0
    for count, length in texts.groups:
        part = hidden_TD[start : start + count * length].view(count, length, -1)
        pooled.append(part.mean(dim=1))
        start += count * length
    packed_BD = F.normalize(torch.cat(pooled), dim=1)
    inverse_B = torch.empty(len(texts.order_B), dtype=torch.int64)
    inverse_B[torch.tensor(texts.order_B)] = torch.arange(len(texts.order_B))
    return packed_BD[inverse_B]

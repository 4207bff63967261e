"""The sides of a comparison: the same texts through the dense original, or through the experts by some rule."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moe_core.model import costs
from moe_core.model.calibration import thresholds_LE
from moe_core.model.encoder import PackedTexts, pack, pool
from moe_core.model.reference import RoutedModel
from moe_core.model.router import Routing, decide, decide_top_k

Route = Callable[[int, Tensor], Routing]
Visit = Callable[[PackedTexts, Tensor, list[Routing]], None]
BATCH_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Embedded:
    """embeddings_ND float32 in the order of the texts; token-weighted active share; FLOPs of this side and of dense."""

    embeddings_ND: NDArray[np.float32]
    active_fraction: float
    flops: int
    flops_dense: int


def tokenize(model: RoutedModel, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Token ids; a longer text keeps its first tokens and its end mark."""
    rows = []
    for encoding in model.tokenizer.tokenizer.encode_batch(list(texts)):
        ids = list(encoding.ids)
        rows.append(ids if len(ids) <= max_tokens else [*ids[: max_tokens - 1], ids[-1]])
    return rows


def adaptive(model: RoutedModel, budget: float, available: Sequence[Tensor | None] | None = None) -> Route:
    """The model's own rule at a budget. Raises InputError outside the measured range."""
    tau = model.calibration.tau(budget)
    thresholds = thresholds_LE(model.adapted, [tau] * model.config.n_layers)
    ramp = model.config.ramp
    return lambda layer, logits: decide(logits, thresholds[layer], ramp, available[layer] if available else None)


def top_k(k: int) -> Route:
    """The k experts with the largest scores, for every token."""
    return lambda layer, logits: decide_top_k(logits, k)


@torch.inference_mode()
def embed(
    model: RoutedModel, ids: Sequence[Sequence[int]], route: Route | None, *, visit: Visit | None = None
) -> Embedded:
    """Embeddings of `ids` by `route`, or by the dense original (None). `visit` sees every batch's hidden states."""
    encoder = model.dense if route is None else model.adapted
    embeddings_ND = np.zeros((len(ids), model.config.d_model), dtype=np.float32)
    executed = tokens = flops = full = 0
    for chunk in batches(ids):
        packed = pack([ids[i] for i in chunk])
        hidden_TD, routings = encoder(packed, route)
        embeddings_ND[chunk] = pool(hidden_TD, packed).numpy()
        per_token_T = (
            torch.stack([(r.gates_TE > 0).sum(dim=1) for r in routings]).sum(dim=0) if routings
            else torch.zeros(len(packed.ids_T), dtype=torch.int64)
        )  # fmt: skip
        for part in torch.split(per_token_T, list(packed.lengths_B)):
            dense_cost = costs.dense_flops(model.config, len(part))
            full += dense_cost
            flops += costs.routed_flops(model.config, len(part), int(part.sum())) if routings else dense_cost
        executed += int(per_token_T.sum())
        tokens += len(packed.ids_T)
        if visit is not None:
            visit(packed, hidden_TD, routings)
    slots = max(1, tokens * model.config.n_layers * model.config.n_experts)
    return Embedded(embeddings_ND, 1.0 if route is None else executed / slots, flops, full)


def batches(ids: Sequence[Sequence[int]]) -> list[list[int]]:
    """Indices of texts of similar length, at most BATCH_TOKENS tokens together."""
    chunks: list[list[int]] = []
    used = BATCH_TOKENS + 1
    for index in sorted(range(len(ids)), key=lambda i: len(ids[i])):
        if used + len(ids[index]) > BATCH_TOKENS:
            chunks.append([])
            used = 0
        chunks[-1].append(index)
        used += len(ids[index])
    return chunks

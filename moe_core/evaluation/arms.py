"""The sides of a comparison: the same texts through the dense original, or through the experts by some rule."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from moe_core.model import costs
from moe_core.model.encoder import RouteLayer, pack, pool
from moe_core.model.reference import RoutedModel
from moe_core.model.router import decide_top_k
from moe_core.model.session import executed_per_text

BATCH_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Embedded:
    """embeddings_ND float32 in the order of the texts; FLOPs per text of this side and of the dense original;
    counts_LE: how often each expert ran (zeros for the dense original), over n_tokens tokens."""

    embeddings_ND: NDArray[np.float32]
    flops_N: NDArray[np.int64]
    flops_dense_N: NDArray[np.int64]
    counts_LE: NDArray[np.int64]
    n_tokens: int

    @property
    def active_fraction(self) -> float:
        """Token-weighted share of the expert compute; 1 where nothing was routed."""
        return float(self.counts_LE.mean()) / max(1, self.n_tokens) if self.counts_LE.any() else 1.0

    @property
    def flops_ratio(self) -> float:
        return float(self.flops_N.sum()) / max(1.0, float(self.flops_dense_N.sum()))


def tokenize(model: RoutedModel, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Token ids; a longer text keeps its first tokens and its end mark."""
    rows = []
    for encoding in model.tokenizer.tokenizer.encode_batch(list(texts)):
        ids = list(encoding.ids)
        rows.append(ids if len(ids) <= max_tokens else [*ids[: max_tokens - 1], ids[-1]])
    return rows


def top_k(k: int) -> RouteLayer:
    """The k experts with the largest scores, for every token."""
    return lambda layer, logits: decide_top_k(logits, k)


@torch.inference_mode()
def embed(model: RoutedModel, ids: Sequence[Sequence[int]], route: RouteLayer | None) -> Embedded:
    """Embeddings of `ids` by `route`, or by the dense original (None)."""
    sizes = model.config
    encoder = model.dense if route is None else model.adapted
    embeddings_ND = np.zeros((len(ids), sizes.d_model), dtype=np.float32)
    flops_N, flops_dense_N = np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids), dtype=np.int64)
    counts_LE = np.zeros((sizes.n_layers, sizes.n_experts), dtype=np.int64)
    for chunk in batches(ids):
        packed = pack([ids[i] for i in chunk])
        hidden_TD, routings = encoder(packed, route)
        embeddings_ND[chunk] = pool(hidden_TD, packed).numpy()
        executed = executed_per_text(packed, routings)
        for place, text in enumerate(chunk):
            n = len(ids[text])
            flops_dense_N[text] = costs.dense_flops(sizes, n)
            flops_N[text] = costs.routed_flops(sizes, n, executed[place]) if routings else flops_dense_N[text]
        for layer, routing in enumerate(routings):
            counts_LE[layer] += (routing.gates_TE > 0).sum(dim=0).numpy()
    return Embedded(embeddings_ND, flops_N, flops_dense_N, counts_LE, sum(len(row) for row in ids))


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

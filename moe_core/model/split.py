"""Splits a dense encoder into experts: neurons with similar input weights go together, equal numbers each.

Balanced spherical k-means as in MoEfication (Zhang et al., Findings of ACL 2022) and D2DMoE (NeurIPS 2024),
written anew: neurons with the clearest preference choose their cluster first.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from moe_core.model.encoder import Encoder, EncoderLayer
from moe_core.model.layers import DenseFeedForward, ExpertFeedForward


def balanced_clusters(rows_HD: Tensor, n_clusters: int, *, seed: int, rounds: int = 15) -> Tensor:
    """cluster_H int64: each of the n_clusters takes exactly H / n_clusters rows, by cosine similarity."""
    n_rows = len(rows_HD)
    if n_rows % n_clusters:
        raise ValueError(f"{n_rows} rows do not divide into {n_clusters} clusters of equal size.")
    capacity = n_rows // n_clusters
    unit_HD = F.normalize(rows_HD, dim=1)
    generator = torch.Generator().manual_seed(seed)
    centres_CD = unit_HD[torch.randperm(n_rows, generator=generator)[:n_clusters]]
    cluster_H = torch.zeros(n_rows, dtype=torch.int64)
    for _ in range(rounds):
        similarity_HC = unit_HD @ centres_CD.T
        cluster_H.fill_(-1)
        room_C = [capacity] * n_clusters
        for pair in similarity_HC.flatten().argsort(descending=True).tolist():
            row, cluster = divmod(pair, n_clusters)
            if room_C[cluster] and cluster_H[row] < 0:
                cluster_H[row] = cluster
                room_C[cluster] -= 1
        centres_CD = F.normalize(torch.stack([unit_HD[cluster_H == c].sum(dim=0) for c in range(n_clusters)]), dim=1)
    return cluster_H


def split_into_experts(dense: Encoder, *, n_experts: int, router_hidden: int, ramp: float, seed: int) -> Encoder:
    """An Encoder whose feed-forward neurons are regrouped into experts; with all experts on it computes what
    `dense` computes. Mean outputs start at 0 and routers untrained: see `training.warm_start`."""
    config = replace(dense.config, n_experts=n_experts, router_hidden=router_hidden, ramp=ramp)
    sparse = config.build()
    state = {k: v.clone() for k, v in dense.state_dict().items()}
    for index, layer in enumerate(dense.layers):
        assert isinstance(layer, EncoderLayer)
        order_H = neuron_order(layer.ffn, n_experts, seed=seed + index)
        for name in ("w1_HD", "b1_H", "w2_HD"):
            key = f"layers.{index}.ffn.{name}"
            state[key] = state[key][order_H]
    sparse.load_state_dict(state, strict=False)
    return sparse


def neuron_order(ffn: DenseFeedForward, n_experts: int, *, seed: int) -> Tensor:
    """order_H: the neurons sorted by expert, stable inside an expert."""
    return balanced_clusters(ffn.w1_HD.detach(), n_experts, seed=seed).argsort(stable=True)


def expert_layers(encoder: Encoder) -> list[ExpertFeedForward]:
    """The routed feed-forward block of every layer, in order."""
    blocks = [layer.ffn for layer in encoder.layers if isinstance(layer, EncoderLayer)]
    return [block for block in blocks if isinstance(block, ExpertFeedForward)]

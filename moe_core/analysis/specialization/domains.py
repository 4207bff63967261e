"""Sums over documents by domain, from the rollups of the log."""

import numpy as np
import pandas as pd

from moe_core.analysis.specialization.ratio_sums import Floats, RatioSums

N_HALVES = 2


def domain_sums(
    experts: pd.DataFrame, layers: pd.DataFrame, n_layers: int, n_experts: int
) -> tuple[list[str], tuple[RatioSums, RatioSums]]:
    """experts (domain, half, layer, expert_id, documents, c, cc, cn), layers (domain, half, layer, documents, n, nn) ->
    names of the domains in order, and the sums of each half. Documents without a domain count in the totals only."""
    names = sorted({str(name) for name in layers["domain"].dropna()})
    return names, (
        _of_half(experts, layers, names, 0, n_layers, n_experts),
        _of_half(experts, layers, names, 1, n_layers, n_experts),
    )


def _of_half(
    experts: pd.DataFrame, layers: pd.DataFrame, names: list[str], half: int, n_layers: int, n_experts: int
) -> RatioSums:
    experts, layers = experts[experts["half"] == half], layers[layers["half"] == half]
    n_rows = len(names) + 1  # the last one: without a domain
    number = {name: i for i, name in enumerate(names)}
    of_expert = (
        experts["domain"].map(number).fillna(len(names)).astype(int), experts["layer"], experts["expert_id"],
    )  # fmt: skip
    of_layer = layers["domain"].map(number).fillna(len(names)).astype(int), layers["layer"]
    wide: dict[str, Floats] = {name: np.zeros((n_rows, n_layers, n_experts)) for name in ("c", "cc", "cn", "documents")}
    for name in wide:
        np.add.at(wide[name], of_expert, experts[name].to_numpy(np.float64))
    flat: dict[str, Floats] = {name: np.zeros((n_rows, n_layers)) for name in ("n", "nn", "documents")}
    for name in flat:
        np.add.at(flat[name], of_layer, layers[name].to_numpy(np.float64))
    c, cc, cn, ran = (wide[name][:-1] for name in ("c", "cc", "cn", "documents"))
    n, nn, documents = (flat[name][:-1] for name in ("n", "nn", "documents"))
    return RatioSums(
        c=c, cc=cc, cn=cn, c_total=cc, c_tokens=cn, n_total=cn, ran_documents=ran, n_FL=n, nn_FL=nn, n_tokens_FL=nn,
        documents_FL=documents, total_c_LE=wide["c"].sum(axis=0), total_cc_LE=wide["cc"].sum(axis=0),
        total_cn_LE=wide["cn"].sum(axis=0), total_n_L=flat["n"].sum(axis=0), total_nn_L=flat["nn"].sum(axis=0),
        total_documents_L=flat["documents"].sum(axis=0), whole=True,
    )  # fmt: skip

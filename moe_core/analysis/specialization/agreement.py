"""Whether the expert chosen in one layer tells which one the next layer chooses, beyond chance.

The choice of a layer for a token is the most specific of the experts that ran for it (`most_specific_T`).
agreement = (I - I_0) / (H - I_0): mutual information between the choices of both layers, over the entropy of the later
one. I_0 is the mean mutual information after the later layer's choices were shuffled, which is above 0 for few tokens.
Two nulls: shuffled among all tokens, and shuffled within documents, which keeps what a text as a whole says about its
experts. 1: the later choice follows from the earlier one; 0: nothing beyond chance.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_core.analysis.specialization.sample import RoutingSample

SHUFFLES = 4
GROUPS = 20  # of documents, for the jackknife
T_975_19 = 2.093  # Student's t with GROUPS - 1 degrees of freedom
COLUMNS = ("layer", "next_layer", "agreement", "low", "high", "document_share", "null_high", "n", "documents")


def layer_agreement(sample: RoutingSample, *, seed: int) -> pd.DataFrame:
    """-> COLUMNS, one row per pair of neighbouring layers. low, high: 95 % by a jackknife over GROUPS groups of
    documents. document_share: the part of the agreement that texts as a whole explain. null_high: the largest value
    after shuffling. Rows with fewer than 100 tokens or GROUPS documents are left out."""
    rng = np.random.default_rng(seed)
    rows = []
    chosen = [sample.most_specific_T(layer) for layer in range(sample.n_layers)]
    for layer in range(sample.n_layers - 1):
        here, following = chosen[layer], chosen[layer + 1]
        known = (here >= 0) & (following >= 0)
        document = sample.document_T[known]
        documents = len(np.unique(document))
        if known.sum() < 100 or documents < GROUPS:
            continue
        rows.append({
            "layer": layer, "next_layer": layer + 1, "n": int(known.sum()), "documents": documents,
            **_pair(here[known], following[known], document, sample.n_experts, rng),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _pair(
    here: NDArray[np.int64], following: NDArray[np.int64], document: NDArray[np.int64], n_experts: int,
    rng: np.random.Generator,
) -> dict[str, float]:  # fmt: skip
    cell = here * n_experts + following
    group = np.unique(document, return_inverse=True)[1] % GROUPS
    tables = np.bincount(group * n_experts**2 + cell, minlength=GROUPS * n_experts**2)
    tables = tables.reshape(GROUPS, n_experts, n_experts).astype(np.float64)
    whole = tables.sum(axis=0)
    by_chance, within = [], []
    order = np.argsort(document, kind="stable")
    for _ in range(SHUFFLES):
        by_chance.append(_information(_table(here, rng.permutation(following), n_experts)))
        shuffled = np.empty_like(following)
        shuffled[order] = following[np.lexsort((rng.random(len(document)), document))]
        within.append(_information(_table(here, shuffled, n_experts)))
    null = float(np.mean(by_chance))
    value = _adjusted(whole, null)
    parts = np.array([_adjusted(whole - part, null) for part in tables])
    error = float(np.sqrt((GROUPS - 1) / GROUPS * ((parts - parts.mean()) ** 2).sum()))
    entropy = _entropy(whole.sum(axis=0))
    room = max(entropy - null, 1e-12)
    return {
        "agreement": value, "low": max(value - T_975_19 * error, 0.0), "high": min(value + T_975_19 * error, 1.0),
        "document_share": max((float(np.mean(within)) - null) / room, 0.0),
        "null_high": (max(by_chance) - null) / room,
    }  # fmt: skip


def _table(here: NDArray[np.int64], following: NDArray[np.int64], n_experts: int) -> NDArray[np.float64]:
    counts = np.bincount(here * n_experts + following, minlength=n_experts**2)
    return counts.reshape(n_experts, n_experts).astype(np.float64)


def _adjusted(table: NDArray[np.float64], null: float) -> float:
    room = _entropy(table.sum(axis=0)) - null
    return (_information(table) - null) / room if room > 1e-9 else 0.0


def _information(table: NDArray[np.float64]) -> float:
    """Mutual information in nats."""
    return _entropy(table.sum(axis=0)) + _entropy(table.sum(axis=1)) - _entropy(table.ravel())


def _entropy(counts: NDArray[np.float64]) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())

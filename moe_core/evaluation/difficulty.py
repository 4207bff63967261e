"""Do hard tokens get more experts? Measured, with two controls that must do worse.

Difficulty of a token: how far its last hidden state ends from the dense original's when every token gets the same
compute (the two best experts in every layer), relative to the length of the dense state. Special tokens count too.

Controls: the numbers of experts are shuffled among the tokens of the same text and layer. (1) Shuffled numbers must
correlate less with difficulty. (2) The model made to run the shuffled numbers, at exactly the same total compute, must
end further from dense.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moe_core.evaluation import arms
from moe_core.model.calibration import thresholds_LE
from moe_core.model.encoder import pack, pool
from moe_core.model.reference import RoutedModel
from moe_core.model.router import Routing, decide, decide_top_k

EQUAL_K = 2
SHUFFLES = 200


@torch.inference_mode()
def measure_difficulty(
    model: RoutedModel, ids: Sequence[Sequence[int]], budget: float, *, seed: int = 4
) -> dict[str, Any]:
    """Spearman correlation of experts used and difficulty over all tokens, the shuffled control, quintiles of
    difficulty with experts per token and layer, and the swap test's cosines (`own_counts`, `shuffled_counts`)."""
    generator = torch.Generator().manual_seed(seed)
    thresholds = thresholds_LE(model.adapted, [model.calibration.tau(budget)] * model.config.n_layers)
    ramp = model.config.ramp
    used, hard, text = [], [], []
    own: list[float] = []
    swapped: list[float] = []
    for number, chunk in enumerate(arms.batches(ids)):
        packed = pack([ids[i] for i in chunk])
        place_T = torch.repeat_interleave(torch.arange(len(packed.lengths_B)), torch.tensor(packed.lengths_B))
        dense_TD, _ = model.dense(packed, None)
        equal_TD, _ = model.adapted(packed, lambda _, logits: decide_top_k(logits, EQUAL_K))
        _, routings = model.adapted(packed, lambda layer, logits: decide(logits, thresholds[layer], ramp))
        used.append(torch.stack([(r.gates_TE > 0).sum(dim=1) for r in routings]).float().mean(dim=0).numpy())
        hard.append(((equal_TD - dense_TD).norm(dim=1) / dense_TD.norm(dim=1)).numpy())
        text.append(place_T.numpy() + 1_000_000 * number)
        target_BD = pool(dense_TD, packed)
        for sink, shuffle in ((own, False), (swapped, True)):
            order_T = _shuffled(place_T, generator) if shuffle else torch.arange(len(place_T))

            def route(layer: int, logits_TE: Tensor, order_T: Tensor = order_T) -> Routing:
                counts_T = (decide(logits_TE, thresholds[layer], ramp).gates_TE > 0).sum(dim=1)[order_T]
                return with_counts(logits_TE, counts_T)

            sink += (pool(model.adapted(packed, route)[0], packed) * target_BD).sum(dim=1).tolist()
    used_T, hard_T, text_T = np.concatenate(used), np.concatenate(hard), np.concatenate(text)
    rng = np.random.default_rng(seed)
    shuffled = [_spearman(used_T[_permuted(text_T, rng)], hard_T) for _ in range(SHUFFLES)]
    edges = np.quantile(hard_T, [0.2, 0.4, 0.6, 0.8])
    quintile_T = np.searchsorted(edges, hard_T)
    difference = np.asarray(own) - np.asarray(swapped)
    error = float(difference.std(ddof=1) / np.sqrt(len(difference))) if len(difference) > 1 else float("nan")
    return {
        "budget": budget,
        "n_tokens": len(used_T),
        "n_texts": len(ids),
        "spearman": _spearman(used_T, hard_T),
        "shuffled_p95": float(np.quantile(shuffled, 0.95)),
        "quintiles": [
            {"quintile": q + 1, "experts_per_token": float(used_T[quintile_T == q].mean()),
             "distance": float(hard_T[quintile_T == q].mean()), "n": int((quintile_T == q).sum())}
            for q in range(5)
        ],
        "own_counts_cosine": float(np.mean(own)),
        "shuffled_counts_cosine": float(np.mean(swapped)),
        "swap_difference": float(difference.mean()),
        "swap_low": float(difference.mean()) - 1.96 * error,
        "swap_high": float(difference.mean()) + 1.96 * error,
    }  # fmt: skip


def with_counts(logits_TE: Tensor, counts_T: Tensor) -> Routing:
    """Routing that runs the counts_T best experts of every token, gate weight 1."""
    rank_TE = logits_TE.argsort(dim=1, descending=True, stable=True).argsort(dim=1, stable=True)
    gates_TE = (rank_TE < counts_T.unsqueeze(1)).float()
    return Routing(logits_TE, logits_TE, torch.zeros(logits_TE.shape[1]), gates_TE, torch.zeros(len(gates_TE)).bool())


def _shuffled(place_T: Tensor, generator: torch.Generator) -> Tensor:
    """A random order of the tokens inside each text: sorted by text, ties at random."""
    noise_T = torch.rand(len(place_T), generator=generator)
    by_noise_T = noise_T.argsort()
    return by_noise_T[place_T[by_noise_T].argsort(stable=True)]


def _permuted(text_T: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices that shuffle inside each text; texts lie one behind the other."""
    result: NDArray[np.int64] = np.lexsort((rng.random(len(text_T)), text_T))
    return result


def _spearman(a_N: NDArray[np.float32], b_N: NDArray[np.float32]) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(a_N, b_N).statistic)

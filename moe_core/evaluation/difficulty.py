"""Do hard tokens get more experts? Measured, with two controls that must do worse.

Difficulty of a token, twice, without labels; neither depends on how many experts the token gets. The start and end
marks of a text are left out.
- `distance`: how far its last hidden state ends from the dense original's when every token gets the same compute (the
  two best experts in every layer), relative to the length of the dense state: what sparseness costs this token.
- `settling`: how late its state settles in the dense original alone: mean over the layers before the last of
  1 - cosine between the token's state there and its last one.

Controls: the numbers of experts are shuffled among the tokens of the same text. (1) Shuffled numbers must correlate
less with difficulty. (2) The model made to run the shuffled numbers, exactly as many in every text and layer, must end
further from dense.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from moe_core.evaluation import arms
from moe_core.model.encoder import PackedTexts, pack, pool
from moe_core.model.reference import RoutedModel
from moe_core.model.router import Routing, decide_top_k
from moe_core.model.training import dense_layers

EQUAL_K = 2
SHUFFLES = 200
Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TokenFigures:
    """used_T: experts per layer that ran; hard_T: difficulty; text_T: number of the text, in one piece each."""

    used_T: Counts
    hard_T: Counts
    text_T: NDArray[np.int64]


@torch.inference_mode()
def measure_difficulty(
    model: RoutedModel, ids: Sequence[Sequence[int]], budget: float, *, seed: int = 4
) -> dict[str, Any]:
    """Spearman correlation of experts used and difficulty over all tokens, the shuffled control, fifths of the tokens
    by difficulty with experts per token and layer, and the swap test's cosines with the interval of their difference.
    """
    generator = torch.Generator().manual_seed(seed)
    adaptive = model.route(budget)
    used, hard, late, text = [], [], [], []
    own: list[float] = []
    swapped: list[float] = []
    n_texts = 0
    for chunk in arms.batches(ids):
        packed = pack([ids[i] for i in chunk])
        place_T = torch.repeat_interleave(torch.arange(len(packed.lengths_B)), torch.tensor(packed.lengths_B))
        states = dense_states(model, packed)
        dense_TD = states[-1]
        equal_TD, _ = model.adapted(packed, lambda _, logits: decide_top_k(logits, EQUAL_K))
        _, routings = model.adapted(packed, adaptive)
        inner_T = inner_tokens(packed)
        counts_LT = torch.stack([(r.gates_TE > 0).sum(dim=1) for r in routings])
        used.append(counts_LT.double().mean(dim=0)[inner_T].numpy())
        hard.append(((equal_TD - dense_TD).norm(dim=1) / dense_TD.norm(dim=1)).double()[inner_T].numpy())
        late.append(settling(states).double()[inner_T].numpy())
        text.append((place_T + n_texts)[inner_T].numpy())
        n_texts += len(chunk)
        target_BD = pool(dense_TD, packed)
        swap_T = torch.arange(len(place_T))
        swap_T[inner_T] = inner_T[shuffled_within(place_T[inner_T], generator)]
        for sink, given_LT in ((own, counts_LT), (swapped, counts_LT[:, swap_T])):

            def route(layer: int, logits_TE: Tensor, given_LT: Tensor = given_LT) -> Routing:
                return with_counts(logits_TE, given_LT[layer])

            sink += (pool(model.adapted(packed, route)[0], packed) * target_BD).sum(dim=1).tolist()
    used_T, text_T = np.concatenate(used), np.concatenate(text)
    by_distance = correlation(TokenFigures(used_T, np.concatenate(hard), text_T), seed=seed)
    by_settling = correlation(TokenFigures(used_T, np.concatenate(late), text_T), seed=seed)
    difference = np.asarray(own) - np.asarray(swapped)
    error = 1.96 * float(difference.std(ddof=1) / np.sqrt(len(difference))) if len(difference) > 1 else 2.0
    return {
        "budget": budget,
        "n_texts": n_texts,
        **by_distance,
        "settling": by_settling,
        "own_counts_cosine": float(np.mean(own)),
        "shuffled_counts_cosine": float(np.mean(swapped)),
        "swap_difference": float(difference.mean()),
        "swap_low": float(difference.mean()) - error,
        "swap_high": float(difference.mean()) + error,
    }


def correlation(figures: TokenFigures, *, seed: int) -> dict[str, Any]:
    """Spearman correlation, what shuffling inside texts leaves of it (95th percentile), and fifths by difficulty."""
    used_T, hard_T = figures.used_T, figures.hard_T
    rng = np.random.default_rng(seed)
    shuffled = [spearman(used_T[_permuted(figures.text_T, rng)], hard_T) for _ in range(SHUFFLES)]
    fifth_T = np.searchsorted(np.quantile(hard_T, [0.2, 0.4, 0.6, 0.8]), hard_T)
    return {
        "n_tokens": len(used_T),
        "spearman": spearman(used_T, hard_T),
        "shuffled_mean": float(np.mean(shuffled)),
        "shuffled_p95": float(np.quantile(shuffled, 0.95)),
        "quintiles": [
            {"quintile": q + 1, "experts_per_token": float(used_T[fifth_T == q].mean()),
             "difficulty": float(hard_T[fifth_T == q].mean()), "n": int((fifth_T == q).sum())}
            for q in range(5)
            if (fifth_T == q).any()
        ],
    }  # fmt: skip


def dense_states(model: RoutedModel, packed: PackedTexts) -> list[Tensor]:
    """Output of every layer of the dense original."""
    return [state_TD for _, state_TD in dense_layers(model.dense, packed)]


def settling(states: Sequence[Tensor]) -> Tensor:
    """(T,): mean over all layers but the last of 1 - cosine to the last layer's state; 0 for a model of one layer."""
    last_TD = states[-1]
    if len(states) == 1:
        return torch.zeros(len(last_TD))
    return torch.stack([1 - F.cosine_similarity(x_TD, last_TD, dim=1) for x_TD in states[:-1]]).mean(dim=0)


def with_counts(logits_TE: Tensor, counts_T: Tensor) -> Routing:
    """Routing that runs the counts_T best experts of every token, gate weight 1."""
    rank_TE = logits_TE.argsort(dim=1, descending=True, stable=True).argsort(dim=1, stable=True)
    gates_TE = (rank_TE < counts_T.unsqueeze(1)).float()
    return Routing(logits_TE, logits_TE, torch.zeros(logits_TE.shape[1]), gates_TE, torch.zeros(len(gates_TE)).bool())


def inner_tokens(packed: PackedTexts) -> Tensor:
    """Indices of the tokens that are neither the first nor the last of their text."""
    ends_B = torch.tensor(packed.lengths_B).cumsum(0)
    keep_T = torch.ones(len(packed.ids_T), dtype=torch.bool)
    keep_T[ends_B - 1] = False
    keep_T[ends_B - torch.tensor(packed.lengths_B)] = False
    return keep_T.nonzero().squeeze(1)


def shuffled_within(place_T: Tensor, generator: torch.Generator) -> Tensor:
    """A random order of the tokens inside each text: sorted by text, ties at random."""
    by_noise_T = torch.rand(len(place_T), generator=generator).argsort()
    return by_noise_T[place_T[by_noise_T].argsort(stable=True)]


def _permuted(text_T: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices that shuffle inside each text."""
    result: NDArray[np.int64] = np.lexsort((rng.random(len(text_T)), text_T))
    return result


def spearman(a_N: Counts, b_N: Counts) -> float:
    """Rank correlation; 0 where one side has only one value, since then nothing goes anywhere."""
    from scipy.stats import spearmanr

    if len(a_N) < 2 or a_N.min() == a_N.max() or b_N.min() == b_N.max():
        return 0.0
    return float(spearmanr(a_N, b_N).statistic)

"""Routing made by a rule that the test knows: documents of very unequal length, each with leanings of its own.

Shape letters: D documents, T tokens, L layers, E experts.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_core.analysis.specialization.sample import RoutingSample

N_LAYERS, N_EXPERTS = 2, 6
NUMBERS, COMMAS, WORDS = range(0, 5), range(5, 8), range(8, 40)
PIECES = {i: str(10 + i) for i in NUMBERS} | {5: ",", 6: ".", 7: "!"} | {i: f"word{chr(97 + i % 26)}" for i in WORDS}


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """`icc_leaning`: standard deviation of a document's log odds (0: tokens are independent). `length_sigma`: of the
    log length. `digit_expert`, `domain_expert`: (layer, expert) that runs `times` as often for numbers, or for
    `rare`."""

    documents: int = 120
    domains: tuple[str, ...] = ("law", "mail", "rare")
    mean_length: float = 25.0
    length_sigma: float = 0.6
    icc_leaning: float = 0.5
    digit_expert: tuple[int, int] | None = None
    domain_expert: tuple[int, int] | None = None
    times: float = 4.0
    n_layers: int = N_LAYERS
    n_experts: int = N_EXPERTS
    top_k: int | None = None  # None: every expert decides for itself


def sample_of(world: World, seed: int) -> RoutingSample:
    """A sample of a run in this world."""
    rng = np.random.default_rng(seed)
    length_D = np.maximum(4, rng.lognormal(np.log(world.mean_length), world.length_sigma, world.documents).astype(int))
    domain_D = rng.integers(0, len(world.domains), world.documents)
    document_T = np.repeat(np.arange(world.documents), length_D)
    position_T = np.arange(len(document_T)) - np.repeat(np.cumsum(length_D) - length_D, length_D)
    token_T = rng.choice(len(PIECES), len(document_T), p=_frequencies())
    shape = (len(document_T), world.n_layers, world.n_experts)
    leaning_DLE = rng.normal(0, world.icc_leaning, (world.documents, world.n_layers, world.n_experts))
    base_LE = rng.normal(-1.2, 0.4, (world.n_layers, world.n_experts))
    odds_TLE = base_LE[None] + leaning_DLE[document_T]
    if world.digit_expert is not None:
        odds_TLE[np.isin(token_T, NUMBERS), world.digit_expert[0], world.digit_expert[1]] += np.log(world.times) * 1.5
    if world.domain_expert is not None:
        rare_T = domain_D[document_T] == len(world.domains) - 1
        odds_TLE[rare_T, world.domain_expert[0], world.domain_expert[1]] += np.log(world.times) * 1.5
    if world.top_k is None:
        ran_TLE = rng.random(shape) < 1 / (1 + np.exp(-odds_TLE))
        ran_TLE[..., 0] |= ~ran_TLE.any(axis=2)
    else:
        score = odds_TLE + rng.gumbel(size=shape)
        ran_TLE = score >= np.sort(score, axis=2)[..., [-world.top_k]]
    token_S, layer_S, expert_S = np.nonzero(ran_TLE)
    first_TL = np.where(ran_TLE, odds_TLE + rng.gumbel(size=shape), -np.inf).argmax(axis=2)
    return RoutingSample(
        request_ids=tuple(f"r{seed}-{i}" for i in range(world.documents)),
        domains=tuple(world.domains[i] for i in domain_D), half_D=rng.integers(0, 2, world.documents),
        document_T=document_T, position_T=position_T, token_id_T=token_T.astype(np.int64),
        is_special_T=np.zeros(len(document_T), bool), token_S=token_S, layer_S=layer_S, expert_S=expert_S,
        first_TL=first_TL, n_experts=world.n_experts, n_decisions=len(token_S), n_run_decisions=len(token_S),
    )  # fmt: skip


def rollups_of(sample: RoutingSample) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of `document_expert_sums` and `document_layer_sums` that an index would hold of these documents."""
    counts = np.zeros((sample.n_documents, sample.n_layers, sample.n_experts))
    np.add.at(counts, (sample.document_T[sample.token_S], sample.layer_S, sample.expert_S), 1)
    tokens = np.zeros((sample.n_documents, sample.n_layers))
    np.add.at(tokens, sample.document_T, sample.routed_TL)
    d, layer, expert = np.nonzero(counts)
    c, n = counts[d, layer, expert], tokens[d, layer]
    domain = np.array(sample.domains, object)
    experts = pd.DataFrame({
        "domain": domain[d], "half": sample.half_D[d], "layer": layer, "expert_id": expert, "documents": 1, "c": c,
        "cc": c * c, "cn": c * n,
    }).groupby(["domain", "half", "layer", "expert_id"], as_index=False, dropna=False).sum()  # fmt: skip
    d, layer = np.nonzero(tokens)
    n = tokens[d, layer]
    layers = pd.DataFrame({
        "domain": domain[d], "half": sample.half_D[d], "layer": layer, "documents": 1, "n": n, "nn": n * n,
    }).groupby(["domain", "half", "layer"], as_index=False, dropna=False).sum()  # fmt: skip
    return experts, layers


def _frequencies() -> NDArray[np.float64]:
    weight = np.array([1.0] * len(NUMBERS) + [3.0] * len(COMMAS) + [60 / (i + 4) for i in range(len(WORDS))])
    return weight / weight.sum()

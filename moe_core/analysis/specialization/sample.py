"""A sample of a run's tokens with the experts that ran for them: what vocabulary, agreement and clusters are told from.

Shape letters: D documents, T tokens, S runs of an expert (a token in a layer), L layers, E experts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]
UNKNOWN_TOKEN = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutingSample:
    """All decisions of some documents. `token_id_T` is -1 where not known (or erased); `token_S`, `layer_S`,
    `expert_S`: one entry per executed expert; `first_TL`: the strongest expert, -1 where the token was not routed in
    the layer; `half_D`: 0 or 1. `n_decisions` of `n_run_decisions` of the run are in it."""

    request_ids: tuple[str, ...]
    domains: tuple[str | None, ...]
    half_D: Integers
    document_T: Integers
    position_T: Integers
    token_id_T: Integers
    is_special_T: Bools
    token_S: Integers
    layer_S: Integers
    expert_S: Integers
    first_TL: Integers
    n_experts: int
    n_decisions: int
    n_run_decisions: int

    @property
    def n_documents(self) -> int:
        return len(self.request_ids)

    @property
    def n_tokens(self) -> int:
        return len(self.document_T)

    @property
    def n_layers(self) -> int:
        return int(self.first_TL.shape[1])

    @property
    def share(self) -> float:
        """Of the run's decisions."""
        return self.n_decisions / self.n_run_decisions if self.n_run_decisions else 0.0

    @property
    def has_tokens(self) -> bool:
        """Whether the ids of at least half of the tokens are known."""
        return bool(len(self.token_id_T)) and float((self.token_id_T >= 0).mean()) >= 0.5

    @property
    def routed_TL(self) -> Bools:
        return self.first_TL >= 0

    def most_specific_T(self, layer: int) -> Integers:
        """Of the experts that ran for a token in this layer the one that runs for the fewest tokens; -1 where none ran.
        An adaptive router often has one expert that runs for every token: that one says nothing about a token."""
        here = self.layer_S == layer
        token, expert = self.token_S[here], self.expert_S[here]
        often = np.bincount(expert, minlength=self.n_experts)
        order = np.argsort(-often[expert], kind="stable")
        specific_T = np.full(self.n_tokens, -1, np.int64)
        specific_T[token[order]] = expert[order]  # the last one that is written stays: the rarest
        return specific_T

    def runs_of_layer(self, layer: int) -> csr_matrix:
        """T x E: 1 where the expert ran for the token in this layer."""
        here = self.layer_S == layer
        ones = np.ones(int(here.sum()), np.float64)
        shape = (self.n_tokens, self.n_experts)
        return csr_matrix((ones, (self.token_S[here], self.expert_S[here])), shape=shape)

    def of_tokens(self, keep_T: Bools) -> "RoutingSample":
        """The same documents with some of their tokens."""
        number_T = np.cumsum(keep_T) - 1
        keep_S = keep_T[self.token_S]
        return RoutingSample(
            request_ids=self.request_ids, domains=self.domains, half_D=self.half_D, document_T=self.document_T[keep_T],
            position_T=self.position_T[keep_T], token_id_T=self.token_id_T[keep_T],
            is_special_T=self.is_special_T[keep_T], token_S=number_T[self.token_S[keep_S]],
            layer_S=self.layer_S[keep_S], expert_S=self.expert_S[keep_S], first_TL=self.first_TL[keep_T],
            n_experts=self.n_experts, n_decisions=self.n_decisions, n_run_decisions=self.n_run_decisions,
        )  # fmt: skip

"""Sums over documents from which a lift and its uncertainty follow exactly.

Of a document d (a request): n_df = its tokens with the feature f, c_df = those of them for which an expert ran, N_d and
C_d the same over all its tokens. A feature is a domain (then all tokens of a document have it or none), a token, a word
class or a place in the text. All sums are whole numbers; those of two sets of documents add up.

Shape letters: F features, L layers, E experts, D documents.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class RatioSums:
    """Sums over documents of products of the four numbers. `ran_documents`: those with c > 0; `documents_FL`: those
    with n > 0. `total_*`: over all documents, with the feature or without. `whole`: whether a document has the feature
    in all of its tokens or in none, so that labels of documents can be permuted."""

    c: Floats  # FLE
    cc: Floats
    cn: Floats
    c_total: Floats  # c_df C_d
    c_tokens: Floats  # c_df N_d
    n_total: Floats  # n_df C_d
    ran_documents: Floats
    n_FL: Floats
    nn_FL: Floats
    n_tokens_FL: Floats  # n_df N_d
    documents_FL: Floats
    total_c_LE: Floats
    total_cc_LE: Floats
    total_cn_LE: Floats
    total_n_L: Floats
    total_nn_L: Floats
    total_documents_L: Floats
    whole: bool

    def __add__(self, other: "RatioSums") -> "RatioSums":
        """The sums of both sets of documents, of the same features."""
        sums = {
            field.name: getattr(self, field.name) + getattr(other, field.name)
            for field in fields(self)
            if field.name != "whole"
        }
        return RatioSums(**sums, whole=self.whole)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(F, L, E)."""
        return self.c.shape[0], self.c.shape[1], self.c.shape[2]

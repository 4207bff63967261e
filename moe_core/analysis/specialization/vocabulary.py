"""Sums over documents by feature of tokens, counted in a sample, layer by layer.

Shape letters: P pairs of token and feature, K pairs of document and feature, F features, T tokens, D documents, E
experts.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from moe_core.analysis.specialization.features import TokenFeatures
from moe_core.analysis.specialization.ratio_sums import Floats, RatioSums
from moe_core.analysis.specialization.sample import RoutingSample


def vocabulary_sums(sample: RoutingSample, tokens: TokenFeatures) -> tuple[RatioSums, RatioSums]:
    """The sums of the documents of each half, one row per feature."""
    n_features, n_documents = len(tokens.features), sample.n_documents
    key_P = tokens.feature_P * n_documents + sample.document_T[tokens.token_P]
    key_K, number_P = np.unique(key_P, return_inverse=True)
    feature_K, document_K = np.divmod(key_K, max(n_documents, 1))
    ones = np.ones(len(number_P))
    pairs_KT = csr_matrix((ones, (number_P, tokens.token_P)), shape=(len(key_K), sample.n_tokens))
    documents_DT = csr_matrix(
        (np.ones(sample.n_tokens), (sample.document_T, np.arange(sample.n_tokens))),
        shape=(n_documents, sample.n_tokens),
    )
    # a row per half and feature: both halves in one product
    row_K = sample.half_D[document_K] * n_features + feature_K
    groups = csr_matrix((np.ones(len(row_K)), (row_K, np.arange(len(row_K)))), shape=(2 * n_features, len(row_K)))
    halves = csr_matrix((np.ones(n_documents), (sample.half_D, np.arange(n_documents))), shape=(2, n_documents))
    layers = [
        _of_layer(sample, layer, pairs_KT, documents_DT, document_K, groups, halves)
        for layer in range(sample.n_layers)
    ]
    wide = {name: np.stack([layer[name] for layer in layers], axis=1) for name in layers[0]}
    return _half(wide, slice(0, n_features), 0), _half(wide, slice(n_features, None), 1)


def _of_layer(
    sample: RoutingSample, layer: int, pairs_KT: csr_matrix, documents_DT: csr_matrix, document_K: NDArray[np.int64],
    groups: csr_matrix, halves: csr_matrix,
) -> dict[str, Floats]:  # fmt: skip
    runs_TE = sample.runs_of_layer(layer)
    routed_T = sample.routed_TL[:, layer].astype(np.float64)
    c_KE, c_DE = (pairs_KT @ runs_TE).toarray(), (documents_DT @ runs_TE).toarray()
    n_K, n_D = pairs_KT @ routed_T, documents_DT @ routed_T
    n_column, total_c_KE, total_n_K = n_K[:, None], c_DE[document_K], n_D[document_K]
    return {
        "c": groups @ c_KE, "cc": groups @ c_KE**2, "cn": groups @ (c_KE * n_column),
        "c_total": groups @ (c_KE * total_c_KE), "c_tokens": groups @ (c_KE * total_n_K[:, None]),
        "n_total": groups @ (n_column * total_c_KE), "ran_documents": groups @ (c_KE > 0).astype(np.float64),
        "n_FL": groups @ n_K, "nn_FL": groups @ n_K**2, "n_tokens_FL": groups @ (n_K * total_n_K),
        "documents_FL": groups @ (n_K > 0).astype(np.float64), "total_c_LE": halves @ c_DE,
        "total_cc_LE": halves @ c_DE**2, "total_cn_LE": halves @ (c_DE * n_D[:, None]), "total_n_L": halves @ n_D,
        "total_nn_L": halves @ n_D**2, "total_documents_L": halves @ (n_D > 0).astype(np.float64),
    }  # fmt: skip


def _half(wide: dict[str, Floats], rows: slice, half: int) -> RatioSums:
    totals = {name: array[half] for name, array in wide.items() if name.startswith("total_")}
    sums = {name: array[rows] for name, array in wide.items() if not name.startswith("total_")}
    return RatioSums(**sums, **totals, whole=False)

"""What one batch adds to the sums over documents, from which specialization is told with its uncertainty.

A document (request) d that has n tokens in a layer and ran an expert for c of them adds c, c^2 and c n to its domain
and half (`halves.py`); n and n^2 are added up by layer. These sums give the variance of any ratio of counts between
domains exactly as the documents themselves would (linearisation of a ratio, documents as clusters), and they add up
over batches, because all decisions of a request are in one batch.

Shape letters: R requests, P places (a token in a layer), S decisions in which the expert ran, G groups (domain and
half), B blocks (a layer of a request), C cells.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from moe_core.log.cells import Integers, count_of, numbered
from moe_core.log.halves import halves_of

N_HALVES = 2


@dataclass(frozen=True, slots=True)
class DocumentSums:
    """Tables in the columns of `document_expert_sums` and `document_layer_sums`, without `run_id`."""

    experts: pa.Table
    layers: pa.Table


def sums_over_documents(
    row_P: Integers, layer_P: Integers, active_P: Integers, expert_S: NDArray[np.integer], requests: pa.Table
) -> DocumentSums:
    """`row_P`: row of the request of each place; `active_P`: how many experts ran there; `expert_S`: which ones, place
    after place; `requests`: at least request_id, domain."""
    n_layers, n_experts, n_requests = count_of(layer_P), count_of(expert_S), requests.num_rows
    domain = requests.column("domain").combine_chunks().dictionary_encode(null_encoding="encode")
    domain_R = domain.indices.to_numpy().astype(np.int64)
    group_R = domain_R * N_HALVES + halves_of(requests.column("request_id").to_pylist())
    n_groups = max(1, len(domain.dictionary)) * N_HALVES

    block_P = row_P * n_layers + layer_P
    tokens_B = np.bincount(block_P, minlength=n_requests * n_layers)
    cell_S = np.repeat(block_P, active_P) * n_experts + expert_S
    cell_C, number_S = numbered(cell_S, n_requests * n_layers * n_experts)
    ran_C = np.bincount(number_S, minlength=len(cell_C))
    cell_C, ran_C = cell_C[ran_C > 0], ran_C[ran_C > 0]

    block_C = cell_C // max(n_experts, 1)
    group_C = group_R[block_C // max(n_layers, 1)]
    place_C = (group_C * n_layers + block_C % max(n_layers, 1)) * n_experts + cell_C % max(n_experts, 1)
    sums = _sums(place_C, n_groups * n_layers * n_experts, {
        "documents": np.ones_like(ran_C), "c": ran_C, "cc": ran_C * ran_C, "cn": ran_C * tokens_B[block_C],
    })  # fmt: skip
    key = sums.pop("key")
    group, place = np.divmod(key, max(n_layers * n_experts, 1))
    experts = {
        "domain": _domains(domain.dictionary, group), "half": group % N_HALVES,
        "layer": place // max(n_experts, 1), "expert_id": place % max(n_experts, 1), **sums,
    }  # fmt: skip

    block_B = np.flatnonzero(tokens_B)
    tokens_B = tokens_B[block_B]
    place_B = group_R[block_B // max(n_layers, 1)] * n_layers + block_B % max(n_layers, 1)
    sums = _sums(place_B, n_groups * n_layers, {
        "documents": np.ones_like(tokens_B), "n": tokens_B, "nn": tokens_B * tokens_B,
    })  # fmt: skip
    key = sums.pop("key")
    group, layer = np.divmod(key, max(n_layers, 1))
    layers = {"domain": _domains(domain.dictionary, group), "half": group % N_HALVES, "layer": layer, **sums}
    return DocumentSums(experts=pa.table(experts), layers=pa.table(layers))


def _domains(names: pa.Array, group: Integers) -> pa.Array:
    return names.take(pa.array(group // N_HALVES))


def _sums(key_N: Integers, n_keys: int, values: dict[str, Integers]) -> dict[str, Integers]:
    """-> `key` and the sum of each of the values by key, exact in whole numbers; keys that occur only."""
    key_C, number_N = numbered(key_N, n_keys)
    occurs_C = np.bincount(number_N, minlength=len(key_C)) > 0
    sums = {"key": key_C[occurs_C]}
    for name, value_N in values.items():
        total_C = np.zeros(len(key_C), np.int64)
        np.add.at(total_C, number_N, value_N)
        sums[name] = total_C[occurs_C]
    return sums

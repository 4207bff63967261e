"""A sample of a run: whole segments, evenly spread over it, the same every time, every file compared with its sha256.

Whole segments hold all tokens of their requests, so that documents stay whole. At least one is taken, whatever its
size.

Shape letters: N decisions, T tokens (places in a request), S runs of an expert, L layers, D documents (requests).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from moe_core.errors import SegmentError
from moe_core.log import queries
from moe_core.log import specialization_queries as log
from moe_core.log.entries import FileEntry
from moe_core.log.halves import halves_of
from moe_core.log.index import Index
from moe_core.log.segments import read_parquet
from moe_core.log.verified import problems_on_disk

MOST_DECISIONS = 1_500_000
BEGINNINGS = tuple(k / 10 for k in (5, 4, 6, 3, 7, 2, 8, 1, 9, 0))
COLUMNS = ("request_no", "position", "layer", "expert_id", "rank", "selected")


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledRouting:
    """Arrays in the form of `analysis/specialization/sample.RoutingSample`, whose fields have the same names."""

    request_ids: tuple[str, ...]
    domains: tuple[str | None, ...]
    half_D: NDArray[np.int64]
    document_T: NDArray[np.int64]
    position_T: NDArray[np.int64]
    token_id_T: NDArray[np.int64]
    is_special_T: NDArray[np.bool_]
    token_S: NDArray[np.int64]
    layer_S: NDArray[np.int64]
    expert_S: NDArray[np.int64]
    first_TL: NDArray[np.int64]
    n_experts: int
    n_decisions: int
    n_run_decisions: int

    def fields(self) -> dict[str, Any]:
        """By name."""
        return {name: getattr(self, name) for name in self.__slots__}


def sample_of_run(
    index: Index, run_id: str, n_layers: int, n_experts: int, most: int = MOST_DECISIONS
) -> SampledRouting:
    """The tokens of the sampled segments and the experts that ran for them. Raises SegmentError for a file that is not
    what its manifest says."""
    batches = log.batches_of_run(index, run_id)
    chosen = evenly_spread(batches["n_decisions"].to_numpy(), most)
    taken = batches.iloc[chosen]
    problems = problems_on_disk(index.store, _files(taken))
    if problems:
        raise SegmentError(f"{next(iter(problems.values()))} Run `routelens verify`.")
    requests = log.sampled_requests(index, run_id, list(taken["batch_id"]))
    decisions = [read_parquet(index.store.path / path, COLUMNS) for path in taken["decisions_path"]]
    tokens = [
        read_parquet(index.store.path / path, ("request_no", "position", "token_id", "is_special"))
        for path in taken["tokens_path"]
    ]
    return _sampled(decisions, tokens, requests, n_layers, n_experts, int(batches["n_decisions"].sum()))


def routing_of_run(index: Index, run_id: str | None = None) -> dict[str, Any]:
    """All that findings about experts are told from, by the names of `analysis/specialization/run_frames.RunFrames`.
    Raises as `specialization_queries.run_to_describe` and `sample_of_run`."""
    run = log.run_to_describe(index, run_id)
    name = str(run["run_id"])
    sample = sample_of_run(index, name, int(run["n_layers"]), int(run["n_experts"]))
    return {
        "run": run, "experts": log.document_experts(index, name), "layers": log.document_layers(index, name),
        "sample": sample.fields(), "pairs": queries.coactivation(index, name),
        "load": queries.expert_load(index, name), "tokens": queries.layer_tokens(index, name),
    }  # fmt: skip


def evenly_spread(sizes: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Places of segments that hold at most `most` decisions together, evenly spread: of all ways to take every so many
    from one of a few beginnings, the one that holds most. All of them where they fit; the smallest where none does."""
    n = len(sizes)
    if not n or int(sizes.sum()) <= most:
        return np.arange(n)
    best, best_size = np.array([int(sizes.argmin())]), 0
    for count in range(1, min(n, 4 * most // max(int(sizes.mean()), 1) + 1) + 1):
        for begin in BEGINNINGS:
            places = np.unique(((np.arange(count) + begin) * n / count).astype(np.int64))
            size = int(sizes[places].sum())
            if best_size < size <= most:
                best, best_size = places, size
    return best


def _files(taken: pd.DataFrame) -> list[FileEntry]:
    return [
        FileEntry(path=row[f"{role}_path"], sha256=row[f"{role}_sha256"], size=int(row[f"{role}_size"]), rows=0)
        for row in taken.to_dict("records")
        for role in ("decisions", "tokens")
    ]


def _sampled(
    decisions: list[pa.Table], tokens: list[pa.Table], requests: pd.DataFrame, n_layers: int, n_experts: int,
    n_run_decisions: int,
) -> SampledRouting:  # fmt: skip
    request_N, position_N, layer_N, expert_N, rank_N, selected_N = (
        _column(decisions, name) for name in COLUMNS
    )  # fmt: skip
    # segments are sorted by request and position, so that a token begins where one of them changes
    begins_N = np.ones(len(request_N), bool)
    begins_N[1:] = (request_N[1:] != request_N[:-1]) | (position_N[1:] != position_N[:-1])
    starts_T = np.flatnonzero(begins_N)
    token_N = np.cumsum(begins_N) - 1
    number_D = requests["request_no"].to_numpy(np.int64)
    request_T, position_T = request_N[starts_T], position_N[starts_T]
    document_T = np.searchsorted(number_D, request_T)
    if not np.array_equal(np.append(number_D, -1)[document_T], request_T):
        raise SegmentError("A segment has decisions of a request that is not in its batch; run `routelens verify`.")
    token_id_T, is_special_T = _tokens(tokens, number_D, document_T, position_T)
    ran = selected_N.astype(bool)
    first_TL = np.full((len(starts_T), n_layers), -1, np.int64)
    strongest = np.flatnonzero(ran & (rank_N == 0))
    first_TL[token_N[strongest], layer_N[strongest]] = expert_N[strongest]
    return SampledRouting(
        request_ids=tuple(requests["request_id"]),
        domains=tuple(None if pd.isna(name) else str(name) for name in requests["domain"]),
        half_D=halves_of(requests["request_id"]), document_T=document_T, position_T=position_T, token_id_T=token_id_T,
        is_special_T=is_special_T, token_S=token_N[ran], layer_S=layer_N[ran], expert_S=expert_N[ran],
        first_TL=first_TL, n_experts=n_experts, n_decisions=len(request_N), n_run_decisions=n_run_decisions,
    )  # fmt: skip


def _tokens(
    tables: list[pa.Table], number_D: NDArray[np.int64], document_T: NDArray[np.int64], position_T: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Ids and marks of the routed tokens; -1 and False where they were erased or never recorded."""
    ids, special = np.full(len(document_T), -1, np.int64), np.zeros(len(document_T), bool)
    request, position = _column(tables, "request_no"), _column(tables, "position")
    if not len(request):
        return ids, special
    length = int(max(position.max(), position_T.max(initial=0))) + 1
    key = request * length + position
    order = np.argsort(key, kind="stable")
    wanted = number_D[document_T] * length + position_T
    place = order[np.minimum(np.searchsorted(key, wanted, sorter=order), len(key) - 1)]
    known = key[place] == wanted
    ids[known] = _column(tables, "token_id")[place[known]]
    special[known] = _column(tables, "is_special")[place[known]].astype(bool)
    return ids, special


def _column(tables: list[pa.Table], name: str) -> NDArray[np.int64]:
    """A column of all tables, one behind the other, as int64."""
    parts = [table.column(name).to_numpy().astype(np.int64) for table in tables]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)

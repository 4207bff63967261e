"""From checked rows to what the store will hold: numbers of requests, order, ranks, tokens, quantised decisions.

Shape letters: N rows, R requests, S stretches of rows of the same request, G groups (one per token and layer),
K tokens.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_core.errors import LogError
from moe_core.log import encoding
from moe_core.log.imports.checks import RowFaults
from moe_core.log.imports.columns import ImportFile
from moe_core.log.imports.decisions import DecisionRows
from moe_core.log.imports.order import in_order, stable_order, with_rank
from moe_core.log.imports.quality import QualityCounter
from moe_core.log.imports.requests import UNKNOWN_COUNT, ImportedRequests
from moe_core.log.imports.runs import ImportRun
from moe_core.log.imports.spool import Spool
from moe_core.log.imports.tokens import NO_TOKEN, ImportedTokens, join_tokens, token_key
from moe_core.records import DecisionFlag, RoutingBatch

NO_NUMBER = -1
_NO_ROWS = np.empty(0, np.int64)


class Preparation:
    """Takes whole requests and spools their decisions. After `finish`: `number_R` (of the request in its run),
    `n_tokens_R`, `active_fraction_R` (NaN = not known), `tokens`, and `counters` (one per run)."""

    def __init__(
        self, file: ImportFile, requests: ImportedRequests, runs: Sequence[ImportRun], tokens: ImportedTokens | None,
        spool: Spool,
    ) -> None:  # fmt: skip
        n = len(requests)
        self._path: Path = file.path
        self._requests = requests
        self._runs = runs
        self._given_tokens = tokens
        self._spool = spool
        self._basis = next((name for name in ("gate_weight", "prob", "logit") if name in file.present), None)
        self._days_R = np.array(requests.days(runs))
        self._next_number = [0] * len(runs)
        self._length_R = np.zeros(n, np.int64)
        self._executed_R = np.zeros(n, np.int64)
        self._groups_R = np.zeros(n, np.int64)
        self._token_keys: list[NDArray[np.int64]] = []
        self._token_ids: list[NDArray[np.int32]] = []
        self._faults = RowFaults(file.path, _NO_ROWS)
        self.number_R = np.full(n, NO_NUMBER, np.int64)
        self.counters = [QualityCounter(run, str(file.path)) for run in runs]
        self.tokens = tokens or ImportedTokens(_NO_ROWS, np.empty(0, np.int32), np.empty(0, np.bool_))

    def add_all(self, portions: Iterable[DecisionRows], *, is_sorted: bool) -> None:
        """Raises InputError for the first row that contradicts another one of its request. `is_sorted`: the portions do
        not come in the order of the file, so that a later one may hold an earlier row."""
        for rows in portions:
            run_N = self._requests.run_R[rows.request_N]
            for run in np.unique(run_N).tolist() if len(self._runs) > 1 else [0]:
                self._add(run, rows if (run_N == run).all() else rows[np.flatnonzero(run_N == run)])
            if not is_sorted:
                self._faults.raise_first()
        self._faults.raise_first()

    def finish(self) -> None:
        """All decisions were added: the requests without any follow."""
        if self._given_tokens is None:
            self.tokens = join_tokens(self._token_keys, self._token_ids)
        for run in range(len(self._runs)):
            left = np.flatnonzero((self._requests.run_R == run) & (self.number_R == NO_NUMBER))
            self._number(run, left)
            for day in np.unique(self._days_R[left]).tolist():
                self._spool.add(run, day, encoding.concatenate([]), left[self._days_R[left] == day])
        self._spool.finish()

    @property
    def has_decisions_R(self) -> NDArray[np.bool_]:
        return self._groups_R > 0

    @property
    def n_tokens_R(self) -> NDArray[np.int64]:
        listed_R = np.maximum(self._length_R, self.tokens.lengths(len(self._requests)))
        return np.where(self._requests.n_tokens_R == UNKNOWN_COUNT, listed_R, self._requests.n_tokens_R)

    @property
    def active_fraction_R(self) -> NDArray[np.float64]:
        """Executed experts of n_experts, mean over the pairs of a token and a layer that have decisions."""
        experts_R = np.array([counter.shape[1] for counter in self.counters])[self._requests.run_R]
        share_R = np.full(len(self._requests), np.nan)
        np.divide(self._executed_R, self._groups_R * experts_R, out=share_R, where=self._groups_R > 0)
        return share_R

    def _number(self, run: int, request_S: NDArray[np.integer]) -> NDArray[np.int64]:
        first = self._next_number[run]
        self._next_number[run] = first + len(request_S)
        number_S = np.arange(first, first + len(request_S))
        self.number_R[request_S] = number_S
        return number_S

    def _add(self, run: int, rows: DecisionRows) -> None:
        """Whole requests of one run."""
        starts_S = rows.starts_S()
        request_S = rows.request_N[starts_S].astype(np.int64)
        number_N = np.repeat(self._number(run, request_S), np.diff(starts_S, append=len(rows)))
        rows, number_N, starts_G = in_order(rows, number_N)
        if rows.rank_N is None:
            rows, rank_N = with_rank(rows, starts_G, self._basis)
        else:
            rank_N = rows.rank_N
        self._take_tokens(rows, starts_G)
        try:
            decisions = encoding.quantise(_batch(rows, number_N, rank_N), 0)
        except LogError:
            self._name_repeated(rows, number_N)
            return
        self.counters[run].add(rows, starts_G, rank_N)
        self._length_R[request_S] = np.maximum.reduceat(rows.position_N, starts_S) + 1
        self._executed_R[request_S] = np.add.reduceat(rows.selected_N, starts_S, dtype=np.int64)
        begins_N = np.zeros(len(rows), np.bool_)
        begins_N[starts_G] = True
        self._groups_R[request_S] = np.add.reduceat(begins_N, starts_S, dtype=np.int64)
        self._spool_by_day(run, decisions, request_S, starts_S)

    def _spool_by_day(
        self, run: int, decisions: encoding.Decisions, request_S: NDArray[np.int64], starts_S: NDArray[np.int64]
    ) -> None:
        day_S = self._days_R[request_S]
        if (day_S == day_S[0]).all():
            self._spool.add(run, str(day_S[0]), decisions, request_S)
            return
        day_N = np.repeat(day_S, np.diff(starts_S, append=len(decisions)))
        for day in np.unique(day_S).tolist():
            self._spool.add(run, day, encoding.Decisions(decisions.rows_N[day_N == day]), request_S[day_S == day])

    def _take_tokens(self, rows: DecisionRows, starts_G: NDArray[np.int64]) -> None:
        """Keeps the token ids of the rows. Two ids of one token are a fault, in the row with the smaller number too."""
        if rows.token_id_N is None:
            return
        key_G = token_key(rows.request_N[starts_G], rows.position_N[starts_G])
        starts_K = starts_G[np.concatenate(([True], key_G[1:] != key_G[:-1]))]
        key_K = token_key(rows.request_N[starts_K], rows.position_N[starts_K])
        first_K = rows.token_id_N[starts_K]
        token_id_K = np.where(first_K == NO_TOKEN, np.maximum.reduceat(rows.token_id_N, starts_K), first_K)
        faults = RowFaults(self._path, rows.row_N)
        known_N = rows.token_id_N != NO_TOKEN
        if self._given_tokens is None:
            other_N = np.repeat(token_id_K, np.diff(starts_K, append=len(rows)))
            source = "another row"
        else:
            other_N = np.repeat(self._given_tokens.find(key_K), np.diff(starts_K, append=len(rows)))
            source = "tokens.parquet"
        faults.add(
            known_N & (rows.token_id_N != other_N),
            lambda i: (
                f"token_id is {rows.token_id_N[i]}, but "  # type: ignore[index]
                f"{source} has {_token(other_N[i])} at position {rows.position_N[i]} of request "
                f"{self._id(rows, i)}; a position has one token: mend one of the two"
            ),
        )
        self._faults.merge(faults)
        if self._given_tokens is None:
            self._token_keys.append(key_K[token_id_K != NO_TOKEN])
            self._token_ids.append(token_id_K[token_id_K != NO_TOKEN])

    def _name_repeated(self, rows: DecisionRows, number_N: NDArray[np.int64]) -> None:
        """Finds the first row whose key an earlier row has: quantising said that there is one."""
        order_N = np.argsort(rows.row_N, kind="stable")
        rows, number_N = rows[order_N], number_N[order_N]
        keys = [number_N - number_N.min(), rows.position_N, rows.layer_N, rows.expert_id_N]
        by_key_N = stable_order(keys)
        if by_key_N is None:
            by_key_N = np.arange(len(rows))
        same_N = np.ones(len(rows) - 1, np.bool_)
        for key_N in keys:
            same_N &= key_N[by_key_N[1:]] == key_N[by_key_N[:-1]]
        earlier = {int(by_key_N[j + 1]): int(by_key_N[j]) for j in np.flatnonzero(same_N)}
        repeated_N = np.zeros(len(rows), np.bool_)
        repeated_N[list(earlier)] = True
        assert earlier, "quantise refused rows that differ"
        faults = RowFaults(self._path, rows.row_N)
        faults.add(
            repeated_N,
            lambda i: (
                f"request {self._id(rows, i)}, position {rows.position_N[i]}, layer {rows.layer_N[i]}, expert_id "
                f"{rows.expert_id_N[i]} was listed before, in row {rows.row_N[earlier[i]]}; list each decision once"
            ),
        )
        self._faults.merge(faults)

    def _id(self, rows: DecisionRows, i: int) -> str:
        return repr(self._requests.ids[int(rows.request_N[i])].as_py())


def _token(token_id: Any) -> str:
    return "no token" if token_id == NO_TOKEN else str(token_id)


def _batch(rows: DecisionRows, number_N: NDArray[np.int64], rank_N: NDArray[np.int16]) -> RoutingBatch:
    """What a live recorder hands over. The real numbers keep their 64 bits; quantising reads either width."""
    wide: dict[str, Any] = {name: getattr(rows, name) for name in ("logit_N", "prob_N", "gate_weight_N", "margin_N")}
    return RoutingBatch(
        request_index_N=number_N.astype(np.uint32),
        position_N=rows.position_N.view(np.uint32),
        layer_N=rows.layer_N.view(np.uint16),
        expert_id_N=rows.expert_id_N.view(np.uint16),
        rank_N=rank_N.view(np.uint16),
        selected_N=rows.selected_N,
        flags_N=rows.flags_N | np.uint8(DecisionFlag.IMPORTED),
        **wide,
    )

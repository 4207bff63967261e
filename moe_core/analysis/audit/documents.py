"""From the frames of the log to the documents of an audit.

A document is a request, or all requests of one unit (author, template, ...) together. Its group is the value of one
column. Nothing is left out silently: `Excluded` says how many requests and why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_core.analysis.audit.columns_of_requests import attribute_keys, column
from moe_core.analysis.audit.contrasts import check_groups, large_groups
from moe_core.analysis.audit.counts import RoutingCounts, check_size
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.message import N_, Message
from moe_core.errors import AuditError

# Attributes that name who or what a text comes from. Where one is known and several documents share it, the negative
# control shuffles by it, and so finds out that it should have been the unit.
UNIT_NAMES = ("actor", "author", "user", "user_id", "speaker", "patient", "session", "session_id", "conversation",
              "conversation_id", "thread", "template", "template_id", "document", "document_id", "doc_id")  # fmt: skip
NOT_KNOWN = N_("{column} is not known")
NOTHING_ROUTED = N_("nothing was routed")
TOO_SMALL = N_("their group has fewer than {n} documents")


@dataclass(frozen=True, slots=True)
class Excluded:
    """`n` of `what` (requests or documents) are not in the audit, because of `reason`."""

    n: int
    what: str
    reason: Message


@dataclass(frozen=True, kw_only=True, slots=True)
class Documents:
    """`counts`: the routing. `requests`: the audited rows of the request frame, with `document_R` their documents.
    `sizes`: (group, documents, requests, tokens, tested) one row per group, the small ones included."""

    counts: RoutingCounts
    requests: pd.DataFrame
    document_R: NDArray[np.int64]
    sizes: pd.DataFrame
    excluded: tuple[Excluded, ...]
    group_column: str
    unit: str

    @property
    def n(self) -> int:
        return self.counts.n_documents

    def of(self, keep_D: NDArray[np.bool_], groups: tuple[str, ...]) -> "Documents":
        """Some of the documents, all of these groups."""
        keep_R = keep_D[self.document_R]
        return replace(
            self, counts=self.counts.of(keep_D, groups), requests=self.requests[keep_R].reset_index(drop=True),
            document_R=np.unique(self.document_R[keep_R], return_inverse=True)[1],
        )  # fmt: skip


def documents(
    requests: pd.DataFrame, decisions: pd.DataFrame, shape: tuple[int, int], *, group: str, unit: str | None = None,
    settings: AuditSettings,
) -> Documents:  # fmt: skip
    """`requests`: one row per request (run_id, request_id, n_tokens, attributes, ...); `decisions`: (run_id,
    request_id, layer, expert_id, n, n_first) one row per request and expert; `shape`: layers, experts of the model.

    Raises AuditError where a column is missing, has one value only or too many, or a unit lies in two groups;
    GroupTooSmallError where fewer than two groups are large enough.
    """
    excluded: list[Excluded] = []
    label = column(requests, group, "--group")
    requests, label = _keep(requests, label, label.notna(), Message(NOT_KNOWN, {"column": group}), excluded)
    routed = pd.MultiIndex.from_frame(decisions.loc[decisions["n"] > 0, ["run_id", "request_id"]]).unique()
    keys = pd.MultiIndex.from_frame(requests[["run_id", "request_id"]])
    requests, label = _keep(requests, label, keys.isin(routed), Message(NOTHING_ROUTED), excluded)
    unit_values = None
    if unit is not None:
        unit_values = column(requests, unit, "--unit")
        known = unit_values.notna()
        requests, label = _keep(requests, label, known, Message(NOT_KNOWN, {"column": unit}), excluded)
        unit_values = unit_values[known]
    label = label.astype(str)
    names = tuple(sorted(label.unique()))
    check_groups(names, group, settings.max_groups)
    document_R = np.arange(len(requests)) if unit_values is None else _units(unit_values, label, str(unit), group)
    first_D = np.unique(document_R, return_index=True)[1]
    group_D = np.searchsorted(np.array(names, object), label.to_numpy(object)[first_D])
    size_G = np.bincount(group_D, minlength=len(names))
    large = large_groups(size_G, names, group, settings)
    sizes = pd.DataFrame({
        "group": names, "documents": size_G, "requests": label.value_counts().reindex(names).to_numpy(),
        "tokens": requests["n_tokens"].groupby(label.to_numpy()).sum().reindex(names).to_numpy(),
        "tested": [name in large for name in names],
    })  # fmt: skip
    keep_R = label.isin(large).to_numpy()
    if not keep_R.all():
        small = int((~np.isin(np.array(names)[group_D], large)).sum())
        reason = Message(TOO_SMALL, {"n": settings.smallest_tested(size_G)})
        excluded.append(Excluded(small, "documents", reason))
    requests = requests[keep_R].reset_index(drop=True)
    label = label[keep_R].reset_index(drop=True)
    document_R = np.unique(document_R[keep_R], return_inverse=True)[1]
    first_D = np.unique(document_R, return_index=True)[1]
    counts_DLE, tokens_DL = _counts(requests, document_R, decisions, shape)
    group_D = np.searchsorted(np.array(large, object), label.to_numpy(object)[first_D])
    above = _known_unit(requests.iloc[first_D], group_D, unit) if unit_values is None else None
    counts = RoutingCounts(
        counts_DLE=counts_DLE, tokens_DL=tokens_DL, group_D=group_D, groups=large,
        unit_D=None if above is None else above[1], unit=above[0] if above is not None else unit or "request",
    )  # fmt: skip
    return Documents(
        counts=counts, requests=requests, document_R=document_R, sizes=sizes, excluded=tuple(excluded),
        group_column=group, unit=unit or "request",
    )  # fmt: skip


def _keep(
    requests: pd.DataFrame, label: pd.Series, keep: pd.Series | NDArray[np.bool_], reason: Message,
    excluded: list[Excluded],
) -> tuple[pd.DataFrame, pd.Series]:  # fmt: skip
    mask = np.asarray(keep, bool)
    if not mask.all():
        excluded.append(Excluded(int((~mask).sum()), "requests", reason))
    if not mask.any():
        raise AuditError(f"No request is left to audit ({len(mask)} of {len(mask)} left out: {reason.text()}).")
    return requests[mask], label[mask]


def _units(values: pd.Series, label: pd.Series, unit: str, group: str) -> NDArray[np.int64]:
    """The number of the unit of each request. Raises AuditError where a unit has requests of two groups."""
    code_R = np.unique(values.astype(str).to_numpy(object), return_inverse=True)[1]
    mixed = label.groupby(code_R).nunique()
    if (mixed > 1).any():
        one = values.astype(str).to_numpy()[code_R == mixed.index[mixed > 1][0]][0]
        raise AuditError(
            f"{int((mixed > 1).sum())} values of {unit!r} have requests of more than one value of {group!r}, e.g. "
            f"{one!r}: a unit must lie in one group; use another unit, or leave --unit out."
        )
    return code_R


def _counts(
    requests: pd.DataFrame, document_R: NDArray[np.int64], decisions: pd.DataFrame, shape: tuple[int, int]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """-> (counts_DLE, tokens_DL). A token has one decision of rank 0 in a layer; where ranks have gaps, the busiest
    expert is the least there can be."""
    n_layers, n_experts = shape
    n_documents = int(document_R.max()) + 1
    check_size((n_documents, n_layers, n_experts))
    keys = pd.MultiIndex.from_frame(requests[["run_id", "request_id"]])
    row_N = keys.get_indexer(pd.MultiIndex.from_frame(decisions[["run_id", "request_id"]]))
    known_N = row_N >= 0
    document_N = document_R[row_N[known_N]]
    layer_N, expert_N = (decisions[name].to_numpy(np.int64)[known_N] for name in ("layer", "expert_id"))
    if len(layer_N) and (layer_N.max() >= n_layers or expert_N.max() >= n_experts):
        raise AuditError(f"A decision has layer {layer_N.max()} or expert {expert_N.max()}; the run says {shape}.")
    counts_DLE = np.zeros((n_documents, n_layers, n_experts), np.int32)
    np.add.at(counts_DLE, (document_N, layer_N, expert_N), decisions["n"].to_numpy(np.int32)[known_N])
    first_DL = np.bincount(
        document_N * n_layers + layer_N, decisions["n_first"].to_numpy(np.float64)[known_N], n_documents * n_layers
    )
    tokens_DL = np.maximum(first_DL.reshape(n_documents, n_layers).astype(np.int32), counts_DLE.max(axis=2))
    return counts_DLE, tokens_DL


def _known_unit(
    documents: pd.DataFrame, group_D: NDArray[np.integer], unit: str | None
) -> tuple[str, NDArray[np.int64]] | None:
    """A level above the document that the log happens to know: the column of UNIT_NAMES with the fewest values, each
    within one group, five or more in each group, and some of them with several documents."""
    best: tuple[str, NDArray[np.int64]] | None = None
    for name in ("actor", *[key for key in attribute_keys(documents) if key.lower() in UNIT_NAMES]):
        values = column(documents, name, "the negative control")
        if name == unit or values.isna().any():
            continue
        code_D = np.unique(values.astype(str).to_numpy(object), return_inverse=True)[1]
        group_U = group_D[np.unique(code_D, return_index=True)[1]]
        is_nested = np.array_equal(group_U[code_D], group_D)
        enough = np.bincount(group_U, minlength=int(group_D.max()) + 1).min() >= 5
        if is_nested and enough and len(group_U) < len(group_D) and (best is None or len(group_U) <= best[1].max()):
            best = name, code_D
    return best


def of_documents(documents: Documents, values: Sequence[float] | pd.Series, how: str) -> NDArray[np.float64]:
    """A number per request -> per document: `how` is sum or mean; NaN counts as not there."""
    grouped = pd.Series(np.asarray(values, np.float64)).groupby(documents.document_R)
    result = grouped.sum(min_count=1) if how == "sum" else grouped.mean()
    per_document: NDArray[np.float64] = result.to_numpy(np.float64)
    return per_document

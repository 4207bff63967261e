"""Strata: documents are compared with documents of the same length, topic, ... only.

A stratum needs `per_stratum` documents of two groups at least (of both, where there are two). One that has not is
merged with its neighbour along a column of numbers; along a column of names there are no neighbours, since merging two
topics would compare one with the other again, and it is dropped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_core.analysis.audit.columns_of_requests import as_numbers
from moe_core.errors import AuditError

BINS = 4  # quartiles
FEW_VALUES = 8  # a column of so few different numbers is taken as it is
UNKNOWN = "not known"


@dataclass(frozen=True, kw_only=True, slots=True)
class Strata:
    """`stratum_D`: number of the stratum, -1 for dropped documents. `names`: what each is. `merged`: how many were
    merged into a neighbour. `columns`: what they are made of."""

    stratum_D: NDArray[np.int64]
    names: tuple[str, ...]
    merged: int
    columns: tuple[str, ...]

    @property
    def kept_D(self) -> NDArray[np.bool_]:
        return self.stratum_D >= 0

    @property
    def dropped_share(self) -> float:
        return float((~self.kept_D).mean())


@dataclass(slots=True)
class _Stratum:
    """A set of documents; `low` and `high`: first and last bin in every column of numbers; `names` in the others."""

    rows: list[int]
    names: tuple[str, ...]
    low: list[int]
    high: list[int]


def strata(
    columns: Mapping[str, pd.Series], group_D: NDArray[np.integer], n_groups: int, per_stratum: int
) -> Strata:
    """`columns`: name -> one value per document; numbers are cut into quartiles. Raises AuditError where no stratum is
    left in which groups can be compared."""
    coded = {name: _coded(values) for name, values in columns.items()}
    found: dict[tuple[int, ...], list[int]] = {}
    for d, key in enumerate(zip(*(code for code, _, _ in coded.values()), strict=True)):
        found.setdefault(tuple(int(k) for k in key), []).append(d)
    numeric = [is_number for _, _, is_number in coded.values()]
    labels = [label for _, label, _ in coded.values()]
    open_strata = [
        _Stratum(
            rows,
            tuple(label[k] for k, label, is_n in zip(key, labels, numeric, strict=True) if not is_n),
            *([k for k, is_n in zip(key, numeric, strict=True) if is_n] for _ in range(2)),
        )
        for key, rows in sorted(found.items())
    ]
    kept, merged = _merge(open_strata, group_D, n_groups, per_stratum)
    if not kept:
        raise AuditError(
            f"No stratum of {', '.join(columns)} has {per_stratum} documents of two groups: the groups do not overlap "
            "there, so nothing can be compared within strata; use fewer or coarser --strata."
        )
    stratum_D = np.full(len(group_D), -1, np.int64)
    for number, stratum in enumerate(kept):
        stratum_D[stratum.rows] = number
    number_labels = [label for label, is_n in zip(labels, numeric, strict=True) if is_n]
    return Strata(
        stratum_D=stratum_D, names=tuple(_shown(stratum, number_labels) for stratum in kept), merged=merged,
        columns=tuple(columns),
    )  # fmt: skip


def _coded(values: pd.Series) -> tuple[NDArray[np.int64], list[str], bool]:
    """-> (code of each document, what the codes mean, whether they are bins of numbers)."""
    numbers = as_numbers(values)
    if numbers is None or len(np.unique(numbers[np.isfinite(numbers)])) <= FEW_VALUES:
        texts = values.astype(object).where(values.notna(), UNKNOWN).astype(str).to_numpy(object)
        names, code = np.unique(texts, return_inverse=True)
        return code.astype(np.int64), [str(name) for name in names], False
    known = np.isfinite(numbers)
    edges = np.unique(np.quantile(numbers[known], np.arange(1, BINS) / BINS))
    code = np.searchsorted(edges, numbers, side="left")
    bounds = ["", *(f"{edge:g}" for edge in edges), ""]
    shown = [f"{low} to {high}" if low and high else f"up to {high}" if high else f"above {low}"
             for low, high in pairwise(bounds)]  # fmt: skip
    if known.all():
        return code.astype(np.int64), shown, True
    code[~known] = len(shown)
    return code.astype(np.int64), [*shown, UNKNOWN], False  # what is not known is no neighbour of anything


def _merge(
    open_strata: list[_Stratum], group_D: NDArray[np.integer], n_groups: int, per_stratum: int
) -> tuple[list[_Stratum], int]:
    merged = 0
    while True:
        weak = [s for s in open_strata if not _is_enough(s, group_D, n_groups, per_stratum)]
        pairs = [(len(s.rows), i, j) for i, s in enumerate(open_strata) if s in weak
                 for j, other in enumerate(open_strata) if i != j and _are_neighbours(s, other)]  # fmt: skip
        if not pairs:
            return [s for s in open_strata if not any(s is w for w in weak)], merged
        _, i, j = min(pairs)
        one, other = open_strata[i], open_strata[j]
        other.rows += one.rows
        other.low = [min(a, b) for a, b in zip(one.low, other.low, strict=True)]
        other.high = [max(a, b) for a, b in zip(one.high, other.high, strict=True)]
        open_strata = [s for k, s in enumerate(open_strata) if k != i]
        merged += 1


def _is_enough(stratum: _Stratum, group_D: NDArray[np.integer], n_groups: int, per_stratum: int) -> bool:
    return int((np.bincount(group_D[stratum.rows], minlength=n_groups) >= per_stratum).sum()) >= 2


def _are_neighbours(one: _Stratum, other: _Stratum) -> bool:
    """Same names, and their bins touch or overlap in every column of numbers."""
    if one.names != other.names:
        return False
    return all(
        low <= other_high + 1 and other_low <= high + 1
        for low, high, other_low, other_high in zip(one.low, one.high, other.low, other.high, strict=True)
    )


def _shown(stratum: _Stratum, labels: list[list[str]]) -> str:
    bins = [label[low] if low == high else f"{label[low]} ... {label[high]}"
            for label, low, high in zip(labels, stratum.low, stratum.high, strict=True)]  # fmt: skip
    return ", ".join([*stratum.names, *bins])

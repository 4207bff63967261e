"""Checks of imported rows: whole columns at a time, and of everything wrong the first row, as one sentence.

Rows are counted from 0 in the order of the file. Shape letters: N rows.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from moe_core.errors import InputError


class RowFaults:
    """What is wrong with some rows of a file; only the first of them is kept. `row_N`: their numbers in the file."""

    def __init__(self, path: Path, row_N: NDArray[np.int64]) -> None:
        self._path = path
        self._row_N = row_N
        self._row = -1
        self._what = ""

    def add(self, wrong_N: NDArray[np.bool_], what: Callable[[int], str]) -> None:
        """`what(i)` says what is wrong with entry `i` and what to do, as the rest of a sentence."""
        wrong = np.flatnonzero(wrong_N)
        if len(wrong):
            i = int(wrong[np.argmin(self._row_N[wrong])])
            row = int(self._row_N[i])
            if self._row < 0 or row < self._row:
                self._row, self._what = row, what(i)

    def merge(self, other: "RowFaults") -> None:
        """Takes over what another part of the same file has wrong, if that comes first."""
        if other._row >= 0 and (self._row < 0 or other._row < self._row):
            self._row, self._what = other._row, other._what

    def raise_first(self) -> None:
        """Raises InputError if anything was added."""
        if self._row >= 0:
            raise InputError(f"{self._path}, row {self._row} (counted from 0): {self._what}.")


def whole(
    faults: RowFaults, name: str, values: pa.Array, low: int, high: int, remedy: str, *, null: int | None = None
) -> NDArray[Any]:
    """An integer column as numpy; NULL becomes `null`, or is a fault where that is None."""
    outside = _outside(values, low, high)
    if values.null_count:
        if null is None:
            faults.add(_mask(values.is_null()), lambda i: f"{name} is NULL; write a number from {low} to {high}")
        unknown_N = _mask(values.is_null())
        values_N: NDArray[Any] = values.fill_null(low).to_numpy(zero_copy_only=False)
        if null is not None:
            values_N = np.where(unknown_N, null, values_N.astype(np.int64))
    else:
        values_N = values.to_numpy(zero_copy_only=False)
    if outside is not None:
        faults.add(outside, lambda i: f"{name} is {values_N[i]}, outside {low} to {high}; {remedy}")
    return values_N


def real(faults: RowFaults, name: str, values: pa.Array, low: float, high: float, remedy: str) -> NDArray[np.float64]:
    """A number column as numpy; NULL (not known) becomes NaN, while NaN and infinity in the file are faults."""
    if not pa.types.is_float64(values.type):
        values = values.cast(pa.float64())
    values_N: NDArray[np.float64] = values.to_numpy(zero_copy_only=False)
    if not len(values_N):
        return values_N
    smallest, largest = values_N.min(), values_N.max()
    if smallest >= low and largest <= high:  # no NaN either: it would be the smallest
        return values_N
    nan_N = np.isnan(values_N)
    if int(nan_N.sum()) > values.null_count:
        faults.add(nan_N & ~_mask(values.is_null()), lambda i: f"{name} is NaN; write NULL where a value is not known")
    faults.add((values_N < low) | (values_N > high), lambda i: f"{name} is {values_N[i]:.17g}, {remedy}")
    return values_N


def flag(faults: RowFaults, name: str, values: pa.Array) -> NDArray[np.bool_]:
    """A BOOLEAN column as numpy; NULL is a fault."""
    if values.null_count:
        faults.add(_mask(values.is_null()), lambda i: f"{name} is NULL; write true or false, or leave the column out")
        values = values.fill_null(False)
    return _mask(values)


def utf8(faults: RowFaults, name: str, values: pa.Array) -> pa.Array:
    """The values as they are; raises InputError for a row whose texts are not UTF-8, wherever they are nested."""
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        wrong_N = np.array([not _is_readable(values[i]) for i in range(len(values))])
        faults.add(wrong_N, lambda i: f"{name} is not valid UTF-8; write it in UTF-8")
        faults.raise_first()
    return values


def _is_readable(value: pa.Scalar) -> bool:
    try:
        value.as_py()
    except UnicodeDecodeError:
        return False
    return True


def _outside(values: pa.Array, low: int, high: int) -> NDArray[np.bool_] | None:
    """Which known values are outside; None if none is. Asked before NULLs are filled."""
    extremes = pc.min_max(values).as_py()
    if extremes["min"] is None or (extremes["min"] >= low and extremes["max"] <= high):
        return None
    known_N = values.fill_null(extremes["min"]).to_numpy(zero_copy_only=False)
    outside_N: NDArray[np.bool_] = ((known_N < low) | (known_N > high)) & ~_mask(values.is_null())
    return outside_N


def _mask(values: pa.Array) -> NDArray[np.bool_]:
    mask_N: NDArray[np.bool_] = values.to_numpy(zero_copy_only=False)
    return mask_N

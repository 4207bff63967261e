"""Looks up what the command line calls COLUMN: a key of the attributes of requests, or a column of the requests."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from moe_core.errors import AuditError

NEVER = {"attributes", "run_id", "request_id", "text", "text_hash"}  # no groups, or one for every request


def column(requests: pd.DataFrame, name: str, purpose: str) -> pd.Series:
    """The values of every request as texts or numbers, None where not known. A key of `attributes` goes before a column
    of the same name. Raises AuditError, which names `purpose` and what there is, where neither exists."""
    keys = attribute_keys(requests)
    if name in keys:
        return pd.Series([_value(given, name) for given in requests["attributes"]], index=requests.index, dtype=object)
    usable = [c for c in requests.columns if c not in NEVER]
    if name not in usable:
        there = ", ".join(keys[:12]) + (", ..." if len(keys) > 12 else "") if keys else "none"
        raise AuditError(
            f"There is no column {name!r} for {purpose}: the attributes of these requests are {there}; the columns "
            f"{', '.join(usable)}."
        )
    values = requests[name]
    return values.astype(object).where(values.notna(), None)


def attribute_keys(requests: pd.DataFrame) -> list[str]:
    """All keys of `attributes`, sorted."""
    return sorted({str(key) for given in requests["attributes"] if isinstance(given, Mapping) for key in given})


def as_numbers(values: pd.Series) -> np.ndarray | None:
    """float64 with NaN for what is not known, or None where a value is no number."""
    known = values[values.notna()]
    numbers = pd.to_numeric(known, errors="coerce")
    if numbers.isna().any() and not known[numbers.isna()].astype(str).str.lower().eq("nan").all():
        return None
    full = np.full(len(values), np.nan)
    full[values.notna().to_numpy()] = numbers.to_numpy(np.float64)
    return full


def _value(given: object, name: str) -> object:
    return given.get(name) if isinstance(given, Mapping) else None

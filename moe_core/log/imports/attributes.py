"""`attributes` of an import as texts by name: from a MAP, a STRUCT, or a text with a JSON object.

Texts stay as they are; other plain values become their JSON text (`true`, `3`, `0.5`); a value that is NULL or NaN is
left out. This loop makes Python objects, but one request has thousands of decisions.
"""

import json
import math
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from moe_core.log.imports.checks import RowFaults

MAP_TYPE = pa.map_(pa.string(), pa.string())
_REMEDY = "write texts by name"


def to_map(faults: RowFaults, values: pa.Array) -> pa.Array:
    """-> MAP(VARCHAR, VARCHAR), one entry per row; NULL stays NULL."""
    result: list[list[tuple[str, str]] | None] = []
    wrong: dict[int, str] = {}
    for row, value in enumerate(values.to_pylist()):
        try:
            result.append(None if value is None else _pairs(value))
        except ValueError as error:
            wrong[row] = str(error)
            result.append(None)
    if wrong:
        faults.add(np.isin(np.arange(len(values)), list(wrong)), lambda i: f"attributes {wrong[i]}")
        return pa.nulls(len(values), MAP_TYPE)
    return pa.array(result, MAP_TYPE)


def _pairs(value: Any) -> list[tuple[str, str]]:
    """Raises ValueError with what is wrong and what to do."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError(f"is {value!r}, which is not JSON; {_REMEDY}") from None
        if not isinstance(value, dict):
            raise ValueError(f"is {json.dumps(value)}, not a JSON object; {_REMEDY}")
    items = list(value.items()) if isinstance(value, Mapping) else value
    names = [name for name, _ in items]
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"has the name {name!r}, which is not a text; {_REMEDY}")
        if names.count(name) > 1:
            raise ValueError(f"has the name {name!r} more than once; {_REMEDY}, each once")
    pairs = [(name, text) for name, entry in items if (text := _plain(name, entry)) is not None]
    try:
        "".join(name + text for name, text in pairs).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"are not valid Unicode; {_REMEDY}, in UTF-8") from None
    return pairs


def _plain(name: str, value: Any) -> str | None:
    match value:
        case None:
            return None
        case str():
            return value
        case bool() | int():
            return json.dumps(value)
        case float():
            return None if math.isnan(value) else json.dumps(value)
        case Decimal():
            return str(value)
        case datetime() | date():
            return value.isoformat()
    raise ValueError(f"has {name!r} = {value!r}, which is neither text nor number; {_REMEDY}")

"""Requests and their tokens as Arrow tables: the erasable side of the store.

Texts, attributes and token ids live here and nowhere else; segments know a request only by its number in the run.
Times are UTC without a zone mark. NaN in a number means "not known" and becomes NULL.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from moe_core.errors import LogError
from moe_core.log.store import Store
from moe_core.records import RequestRecord

REQUEST_SCHEMA = pa.schema(
    [
        pa.field("request_no", pa.uint32(), nullable=False),
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("started_at", pa.timestamp("us"), nullable=False),
        pa.field("latency_ms", pa.float64()),
        pa.field("n_tokens", pa.int32(), nullable=False),
        pa.field("domain", pa.string()),
        pa.field("attributes", pa.map_(pa.string(), pa.string())),
        pa.field("text", pa.string()),
        pa.field("text_hash", pa.string()),
        pa.field("label", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("reference_label", pa.string()),
        pa.field("active_fraction", pa.float64()),
        pa.field("flops", pa.int64(), nullable=False),
        pa.field("flops_dense", pa.int64(), nullable=False),
        pa.field("budget", pa.float64()),
        pa.field("mode", pa.string(), nullable=False),
        pa.field("actor", pa.string()),
    ]
)
TOKEN_SCHEMA = pa.schema(
    [
        pa.field("request_no", pa.uint32(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),
        pa.field("token_id", pa.int32(), nullable=False),
        pa.field("is_special", pa.bool_(), nullable=False),
    ]
)

# What was given with a request and may tell who somebody is: NULL after redaction. The answer (label, score), the
# domain under which decisions are summed, and the numbers stay.
PERSONAL_COLUMNS = ("text", "text_hash", "attributes", "reference_label", "actor")


@dataclass(frozen=True, slots=True)
class EncodedRequest:
    """One request, checked and copied: `row` in the order of `REQUEST_SCHEMA`, and its tokens."""

    row: tuple[Any, ...]
    day: str  # YYYY-MM-DD in UTC, on which it started
    token_ids_T: NDArray[np.int32]
    is_special_T: NDArray[np.bool_]

    @property
    def request_id(self) -> str:
        return str(self.row[1])

    @property
    def n_tokens(self) -> int:
        return int(self.row[4])


def encode_request(request: RequestRecord, request_no: int, store: Store) -> EncodedRequest:
    """Raises LogError where the record cannot be stored."""
    where = f"Request {request.request_id!r}"
    if not isinstance(request.request_id, str) or not request.request_id:
        raise LogError("A request has no request_id; give each a text that is unique in the store.")
    if request.started_at.tzinfo is None:
        raise LogError(f"{where} has a started_at without a time zone; use datetime.now(UTC).")
    if len(request.token_ids_T) not in (0, request.n_tokens) or len(request.is_special_T) != len(request.token_ids_T):
        raise LogError(
            f"{where} has n_tokens {request.n_tokens}, but {len(request.token_ids_T)} token ids and "
            f"{len(request.is_special_T)} special marks."
        )
    started_at = request.started_at.astimezone(UTC).replace(tzinfo=None)
    row = (
        request_no,
        request.request_id,
        started_at,
        _known(request.latency_ms),
        int(request.n_tokens),
        request.domain,
        list(request.attributes.items()),
        request.text,
        None if request.text is None else _text_hash(request, store),
        request.label,
        _known(request.score),
        request.reference_label,
        _known(request.active_fraction),
        int(request.flops),
        int(request.flops_dense),
        _known(request.budget),
        request.mode,
        request.actor,
    )
    _check_texts(request)
    return EncodedRequest(
        row=row,
        day=started_at.date().isoformat(),
        token_ids_T=np.array(request.token_ids_T, np.int32),
        is_special_T=np.array(request.is_special_T, np.bool_),
    )


def requests_to_arrow(requests: Sequence[EncodedRequest]) -> pa.Table:
    columns = zip(*(request.row for request in requests), strict=True) if requests else [()] * len(REQUEST_SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, REQUEST_SCHEMA, strict=True)]
    return pa.table(arrays, schema=REQUEST_SCHEMA)


def tokens_to_arrow(requests: Sequence[EncodedRequest]) -> pa.Table:
    """One row per token of the requests, in order."""
    lengths = [len(request.token_ids_T) for request in requests]
    numbers = np.array([request.row[0] for request in requests], np.uint32)
    arrays = [
        pa.array(np.repeat(numbers, lengths)),
        pa.array(np.concatenate([np.arange(length, dtype=np.int32) for length in lengths] or [np.empty(0, np.int32)])),
        pa.array(np.concatenate([request.token_ids_T for request in requests] or [np.empty(0, np.int32)])),
        pa.array(np.concatenate([request.is_special_T for request in requests] or [np.empty(0, np.bool_)])),
    ]
    return pa.table(arrays, schema=TOKEN_SCHEMA)


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _text_hash(request: RequestRecord, store: Store) -> str | None:
    try:
        return None if request.text is None else store.text_hash(request.text)
    except UnicodeEncodeError:
        raise _bad_text(request, "text") from None


def _check_texts(request: RequestRecord) -> None:
    """Every text is valid Unicode, so that a flush cannot fail on it later."""
    texts: dict[str, Any] = {
        "request_id": request.request_id,
        "domain": request.domain,
        "label": request.label,
        "reference_label": request.reference_label,
        "mode": request.mode,
        "actor": request.actor,
    }
    for key, value in request.attributes.items():
        texts[f"attribute {key!r}"] = value
        texts[f"attribute name {key!r}"] = key
    for name, value in texts.items():
        if value is None and not name.startswith("attribute"):
            continue
        if not isinstance(value, str):
            raise LogError(f"Request {request.request_id!r}: {name} is {value!r}, not a text; convert it with str().")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise _bad_text(request, name) from None


def _bad_text(request: RequestRecord, name: str) -> LogError:
    return LogError(f"Request {request.request_id!r}: {name} is not valid Unicode; decode it as UTF-8 first.")

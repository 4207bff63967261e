"""The proof that the log holds what was decided for one token, to be checked without RouteLens and without the store.

It leads from the token's packed rows through the Merkle tree of their segment to the root in a line of a manifest, and
from that line through the Merkle tree over lines to a head: one published before (`published_heads.py`), or the one of
this moment. `docs/check_decision.py` follows it. What ties the rows to a `request_id` is the requests file, whose
sha256 is in the line as well; the rows themselves know a request only by its number in the run.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from moe_core.errors import InputError, LogError, ManifestError, RequestNotFoundError, RunNotFoundError, SegmentError
from moe_core.log import encoding, merkle, segments
from moe_core.log.catalog import Catalog, file_problem, read_catalog
from moe_core.log.entries import BatchEntry
from moe_core.log.manifest import Entry
from moe_core.log.published_heads import PublishedHeads, WriterHead, check_published, current_head, line_leaves
from moe_core.log.store import Store
from moe_core.records import DecisionFlag

VERSION = 1
SCALES = {
    "logit": encoding.LOGIT_SCALE,
    "prob": encoding.PROB_SCALE,
    "gate_weight": encoding.PROB_SCALE,
    "margin": encoding.LOGIT_SCALE,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenOfRequest:
    """Which token is asked about."""

    run_id: str
    request_id: str
    position: int


def prove_decision(store: Store, token: TokenOfRequest, published: Sequence[PublishedHeads] = ()) -> dict[str, Any]:
    """-> the proof as a JSON object, to the latest of the `published` heads, or to the head of this moment if there is
    none.

    Raises RunNotFoundError, RequestNotFoundError, InputError for a token that is not there; SegmentError where a file
    that it needs is damaged, ManifestError where the chain is broken or does not hold the published head.
    """
    catalog = read_catalog(store)
    batch, request_no = _find_request(store, catalog, token)
    decisions = _sound_decisions(store, batch)
    starts = merkle.token_starts(decisions)
    first_N = decisions.rows_N[starts[:-1]]
    (found,) = np.nonzero((first_N["request_no"] == request_no) & (first_N["position"] == token.position))
    if not len(found):
        raise InputError(
            f"Request {token.request_id!r} of run {token.run_id!r} has no decisions at position {token.position}: "
            "positions count from 0, and a dense run decides nothing."
        )
    index = int(found[0])
    rows_N = decisions.rows_N[starts[index] : starts[index + 1]]
    leaves = merkle.leaf_hashes(decisions)
    if merkle.merkle_root(leaves) != batch.merkle_root:
        raise SegmentError(f"{batch.files['decisions'].path} does not have the Merkle root that its manifest says.")
    writer_id, entries, seq = _line_of(catalog, batch)
    head = _head_for(store, catalog, writer_id, seq, published)
    lines = line_leaves(entries[: head.seq + 1])
    return {
        "version": VERSION,
        **asdict(token),
        "decisions": [decode(row) for row in rows_N],
        "rows": [row.tobytes().hex() for row in rows_N],
        "leaf_index": index,
        "leaves": len(leaves),
        "siblings": merkle.merkle_path(leaves, index),
        "merkle_root": batch.merkle_root,
        "line": _line_text(store, writer_id, entries, seq),
        "seq": seq,
        "line_siblings": merkle.merkle_path(lines, seq),
        "writer_id": writer_id,
        "head": asdict(head),
        "store_sha256": store.sha256,
    }


def decode(row: np.void) -> dict[str, Any]:
    """A packed row in words and numbers: flags by name, quantised numbers as real ones, unknown ones as None."""
    plain: dict[str, Any] = {name: row[name].item() for name in encoding.COLUMNS}
    plain["flags"] = [str(flag.name).lower() for flag in DecisionFlag(plain["flags"])]
    for name, scale in SCALES.items():
        plain[name] = None if plain[name] == encoding.UNKNOWN else plain[name] / scale
    return plain


def render(proof: Mapping[str, Any]) -> bytes:
    return (json.dumps(proof, ensure_ascii=False, indent=1) + "\n").encode()


def _find_request(store: Store, catalog: Catalog, token: TokenOfRequest) -> tuple[BatchEntry, int]:
    """The batch that holds the request, and its number in the run."""
    if token.run_id not in catalog.runs:
        raise RunNotFoundError(f"The store {store.path} holds no run {token.run_id!r}.")
    problems = []
    for batch in catalog.batches.values():
        if batch.run_id != token.run_id:
            continue
        if (problem := file_problem(store, batch.files["requests"])) is not None:
            problems.append(problem)
            continue
        table = segments.read_parquet(store.path / batch.files["requests"].path)
        for number, request_id in zip(*(table.column(i).to_pylist() for i in (0, 1)), strict=True):
            if request_id == token.request_id:
                return batch, number
    if problems:
        raise SegmentError(f"{problems[0]} Request {token.request_id!r} may have been in it; run `routelens verify`.")
    raise RequestNotFoundError(f"Run {token.run_id!r} in {store.path} holds no request {token.request_id!r}.")


def _sound_decisions(store: Store, batch: BatchEntry) -> encoding.Decisions:
    file = batch.files["decisions"]
    if (problem := file_problem(store, file)) is not None:
        raise SegmentError(f"{problem} What it held cannot be proved; run `routelens verify`.")
    return encoding.from_arrow(segments.read_parquet(store.path / file.path))


def _line_of(catalog: Catalog, batch: BatchEntry) -> tuple[str, list[Entry], int]:
    """The writer of the line that lists a batch, all lines of that writer, and the number of the line."""
    for path, reading in catalog.readings.items():
        for entry in reading.entries:
            if entry.kind == "batch" and entry.fields["batch_id"] == batch.batch_id:
                return path.stem, reading.entries, entry.seq
    raise AssertionError(f"{batch.batch_id} is in the catalog, but in no manifest")


def _line_text(store: Store, writer_id: str, entries: Sequence[Entry], seq: int) -> str:
    """The exact line, without its line end."""
    with (store.manifest_dir / f"{writer_id}.jsonl").open("rb") as file:
        begin = entries[seq - 1].end if seq else 0
        file.seek(begin)
        return file.read(entries[seq].end - begin - 1).decode("utf-8")


def _head_for(
    store: Store, catalog: Catalog, writer_id: str, seq: int, published: Sequence[PublishedHeads]
) -> WriterHead:
    """The head that the proof leads to."""
    if not published:
        head = current_head(store, store.manifest_dir / f"{writer_id}.jsonl")
        if head is None or head.seq < seq:
            raise LogError(f"Line {seq + 1} of manifest/{writer_id}.jsonl was written a moment ago: try again.")
        return head
    for heads in sorted(published, key=lambda heads: heads.published_at, reverse=True):
        if writer_id in heads.writers and heads.writers[writer_id].seq >= seq:
            if problems := check_published(
                store, catalog, replace(heads, writers={writer_id: heads.writers[writer_id]})
            ):
                raise ManifestError(problems[0])
            return heads.writers[writer_id]
    raise InputError(
        f"The decision was written after {published[0].name} was published: publish the head again, or leave --against "
        "out."
    )

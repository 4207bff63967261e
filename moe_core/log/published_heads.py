"""Heads to be kept where the machine of the store cannot reach: the one thing that shows a chain cut back or rebuilt.

A file of published heads is one JSON object: which store, when, and for every writer how far its chain had come (`seq`
and `hash` of its last line), the Merkle root over its lines (`lines_root`, so that one line can be proved without the
others), how many decisions those lines list, and `digest`, the one number that commits to all of these. Its last
fields are the sha256 of the rest and, if it was signed, an Ed25519 signature of the rest.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from moe_core.errors import InputError, ManifestError
from moe_core.log import merkle
from moe_core.log.catalog import Catalog
from moe_core.log.heads import noted_head
from moe_core.log.manifest import Entry, is_alive, read_manifest, start
from moe_core.log.segments import write_durable
from moe_core.log.signature import is_signed_by, sign
from moe_core.log.store import Store

VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class WriterHead:
    """How far one chain had come: `seq` and `hash` of its last line."""

    seq: int
    hash: str
    lines_root: str
    decisions: int
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedHeads:
    """`name` is the file, for messages; `writers` maps a writer's id to its head."""

    name: str
    store_id: str
    store_sha256: str
    published_at: datetime
    writers: Mapping[str, WriterHead]
    is_signed: bool

    @property
    def decisions(self) -> int:
        return sum(head.decisions for head in self.writers.values())


def head_of(store: Store, writer_id: str, entries: Sequence[Entry]) -> WriterHead:
    """The head of a chain that ends with the last of `entries`, of which there is at least one."""
    last, root = entries[-1], merkle.merkle_root(line_leaves(entries))
    decisions = sum(int(entry.fields["decisions"]) for entry in entries if entry.kind == "batch")
    said = f"routelens head {VERSION} {store.sha256} {writer_id} {last.seq} {last.hash} {root} {decisions}"
    return WriterHead(
        seq=last.seq, hash=last.hash, lines_root=root, decisions=decisions, digest=sha256(said.encode()).hexdigest()
    )


def line_leaves(entries: Sequence[Entry]) -> list[bytes]:
    """The leaves of the Merkle tree over lines: one for the hash of each."""
    return merkle.hash_leaves(bytes.fromhex(entry.hash) for entry in entries)


def current_head(store: Store, manifest_path: Path) -> WriterHead | None:
    """The head of this moment; None before the first line. Raises ManifestError where the chain is broken.

    Of a writer that lives only the lines that its own head names: it may take the one after them back.
    """
    noted = noted_head(manifest_path) if is_alive(manifest_path) else None
    reading = read_manifest(manifest_path, start(store, manifest_path.stem))
    if reading.error is not None:
        raise ManifestError(f"manifest/{reading.error}; run `routelens verify`.")
    entries = reading.entries[: noted[0] + 1] if isinstance(noted, tuple) else reading.entries
    return head_of(store, manifest_path.stem, entries) if entries else None


def publish_heads(store: Store, path: Path, key: Ed25519PrivateKey | None = None) -> PublishedHeads:
    """Writes the heads of this moment to `path`, atomically, signed with `key` if there is one. Raises InputError for
    a path in the store, ManifestError where a chain is broken, SegmentError where the file cannot be written."""
    if path.resolve().is_relative_to(store.path):
        raise InputError(f"{path} is in the store whose end it must prove: publish the head outside of it.")
    published_at = datetime.now(UTC)
    writers = {path.stem: head for path in store.manifest_paths() if (head := current_head(store, path)) is not None}
    content = {
        "version": VERSION,
        "store_id": store.store_id,
        "store_sha256": store.sha256,
        "published_at": published_at.isoformat(),
        "writers": {writer_id: asdict(head) for writer_id, head in writers.items()},
    }
    signature = None if key is None else sign(key, _body(content))
    write_durable(path, _render(content, signature))
    return PublishedHeads(
        name=str(path),
        store_id=store.store_id,
        store_sha256=store.sha256,
        published_at=published_at,
        writers=writers,
        is_signed=key is not None,
    )


def find_published(paths: Sequence[Path]) -> list[Path]:
    """The files, and those named *.json of the folders among `paths`. Raises InputError where there is none."""
    found = []
    for path in paths:
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not files or not all(file.is_file() for file in files):
            raise InputError(f"There are no published heads in {path}: give a file of `verify --publish-head`.")
        found += files
    return found


def read_published(path: Path, key: Ed25519PublicKey | None = None) -> PublishedHeads:
    """Raises ManifestError where the file is not what was published, or, given a key, not signed with its other half;
    InputError where it cannot be read."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read the published heads {path}: {error.strerror}.") from None
    try:
        content = json.loads(raw)
        signature = content.pop("signature", None)
        content.pop("sha256")
        if content["version"] != VERSION or raw != _render(content, signature):
            raise ValueError("it does not match its own checksum")
        heads = PublishedHeads(
            name=str(path),
            store_id=str(content["store_id"]),
            store_sha256=str(content["store_sha256"]),
            published_at=datetime.fromisoformat(content["published_at"]),
            writers={writer_id: _head_from(fields) for writer_id, fields in content["writers"].items()},
            is_signed=signature is not None,
        )
        if heads.published_at.tzinfo is None:
            raise ValueError("its time has no time zone")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ManifestError(f"{path} is not the file of heads that was published: {error}.") from None
    if key is not None and signature is None:
        raise ManifestError(f"{path} is not signed, and a public key was given: nobody vouches for it.")
    if key is not None and not is_signed_by(key, str(signature), _body(content)):
        raise ManifestError(f"{path} is not signed with the other half of this public key.")
    return heads


def check_published(store: Store, catalog: Catalog, published: PublishedHeads) -> list[str]:
    """Whether the store still holds everything that was published; one sentence for each thing that it does not."""
    when = f"{published.name} ({published.published_at:%Y-%m-%d %H:%M:%S} UTC)"
    if published.store_sha256 != store.sha256:
        known = "its store.json was replaced" if published.store_id == store.store_id else "it is another store"
        return [f"This is not the store of {when}: {known}."]
    errors = []
    for writer_id, head in published.writers.items():
        where = f"manifest/{writer_id}.jsonl"
        reading = catalog.readings.get(store.manifest_dir / f"{writer_id}.jsonl")
        if reading is None:
            errors.append(f"{where} with {head.decisions:,} decisions is gone: {when} holds its head.")
        elif head.seq >= len(reading.entries):
            n_lines = len(reading.entries)
            errors.append(
                f"{where} has {n_lines} sound lines, {when} says {head.seq + 1}: its end was removed or broken."
            )
        elif head.hash != reading.entries[head.seq].hash:
            errors.append(f"{where} line {head.seq + 1} is not the one of {when}: the chain was made anew.")
        elif head != head_of(store, writer_id, reading.entries[: head.seq + 1]):
            errors.append(f"{when} contradicts itself about {where}: it was altered.")
    return errors


def _head_from(fields: Mapping[str, Any]) -> WriterHead:
    if not (isinstance(fields["seq"], int) and fields["seq"] >= 0):
        raise ValueError(f"there is no line {fields['seq']}")
    texts = {name: str(fields[name]) for name in ("hash", "lines_root", "digest")}
    return WriterHead(seq=fields["seq"], decisions=int(fields["decisions"]), **texts)


def _body(content: Mapping[str, Any]) -> bytes:
    """What is hashed and signed."""
    return json.dumps(content, sort_keys=True).encode()


def _render(content: Mapping[str, Any], signature: str | None) -> bytes:
    """The one byte sequence that says `content`: every changed byte is seen."""
    whole = {**content, "sha256": sha256(_body(content)).hexdigest()}
    if signature is not None:
        whole["signature"] = signature
    return (json.dumps(whole, indent=1) + "\n").encode()

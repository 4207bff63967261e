"""The store: one folder with a birth certificate, `store.json`, and the paths below it.

    store.json                                          who this store is; never changes
    schema.json                                         to which schema version it was migrated, if it was
    segments/run=<id>/day=<YYYY-MM-DD>/<batch>.parquet  decisions: immutable, nothing personal
    requests/run=<id>/<batch>.requests.parquet          text, attributes: erasable
    requests/run=<id>/<batch>.tokens.parquet            token ids: erasable
    manifest/<writer>.jsonl, <writer>.head              hash chain of what counts, and its last link
    index.duckdb, index.lock                            a cache that can be deleted, and its owner

`store.json` carries the sha256 of its own content, and every manifest chain starts from the sha256 of the
whole file, so that neither can be changed unnoticed. A migration therefore leaves it alone and records beside it, in
`schema.json`, which version the store has reached (`migrations.py`).
"""

import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from moe_core.errors import LogError, SchemaVersionError, StoreNotFoundError
from moe_core.log.segments import make_dirs, write_durable, write_failure

SCHEMA_VERSION = 1
MAX_RUN_ID_LENGTH = 200  # encoded; a folder name may have 255 bytes
_GLOB_CHARACTERS = "*?["
_MEANS_NULL = "__HIVE_DEFAULT_PARTITION__"  # as a folder name, to DuckDB and Spark


@dataclass(frozen=True, kw_only=True, slots=True)
class Store:
    """An opened store. `sha256` is that of store.json; `text_salt` keys the text hashes.

    `born_version` is the schema version in store.json, from which the manifest chains start; `schema_version` the one
    that the store has now.
    """

    path: Path
    store_id: str
    created_at: datetime
    text_salt: bytes
    sha256: str
    born_version: int
    schema_version: int

    @property
    def manifest_dir(self) -> Path:
        return self.path / "manifest"

    @property
    def schema_path(self) -> Path:
        return self.path / "schema.json"

    @property
    def index_path(self) -> Path:
        return self.path / "index.duckdb"

    @property
    def index_lock_path(self) -> Path:
        return self.path / "index.lock"

    def manifest_paths(self) -> list[Path]:
        """Every manifest, oldest writer first (a writer's id begins with its start time)."""
        return sorted(self.manifest_dir.glob("*.jsonl"))

    def text_hash(self, text: str) -> str:
        """HMAC-SHA256 of the text under this store's salt: equal texts are seen as equal within the store,
        and whoever holds an export without store.json cannot guess short texts from it."""
        return hmac.digest(self.text_salt, text.encode("utf-8"), "sha256").hex()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Held by one process at a time, for a moment: while a run id is claimed."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def run_folder(run_id: str) -> str:
    """`run=<id>` as a folder name: percent-encoded where needed, which DuckDB undoes when it reads it, and Spark too
    but for letters beyond ASCII (`spark/relations.py` does the rest)."""
    return "run=" + quote(run_id, safe=" ")


def decisions_path(run_id: str, day: str, batch_id: str) -> str:
    return f"segments/{run_folder(run_id)}/day={day}/{batch_id}.parquet"


def requests_path(run_id: str, batch_id: str) -> str:
    return f"requests/{run_folder(run_id)}/{batch_id}.requests.parquet"


def tokens_path(run_id: str, batch_id: str) -> str:
    return f"requests/{run_folder(run_id)}/{batch_id}.tokens.parquet"


def check_run_id(run_id: str) -> None:
    """Raises LogError for an id that cannot name a folder."""
    is_plain = run_id == run_id.strip() and run_id.isprintable() and run_id != _MEANS_NULL
    if not run_id or not is_plain or len(quote(run_id)) > MAX_RUN_ID_LENGTH:
        raise LogError(
            f"Run id {run_id!r} cannot be used: give 1 to {MAX_RUN_ID_LENGTH} printable characters (others than ASCII "
            "letters and digits count more than once), without spaces around them."
        )


def create_store(store_dir: Path | str) -> Store:
    """Makes a new store in an empty or absent folder; raises LogError where there is one already."""
    path = _usable_path(store_dir)
    if (path / "store.json").exists():
        raise LogError(f"There is a store in {path} already; open it, or choose another folder.")
    try:
        for folder in ("segments", "requests", "manifest"):
            make_dirs(path / folder)
    except OSError as error:
        raise LogError(write_failure(path, error)) from error
    content = {
        "schema_version": SCHEMA_VERSION,
        "created_at": datetime.now(UTC).isoformat(),
        "store_id": secrets.token_hex(16),
        "text_salt": secrets.token_hex(16),
    }
    with suppress(FileExistsError):  # another process made it a moment ago: that one counts
        write_durable(path / "store.json", sealed(content), replace=False)
    return open_store(path)


def open_store(store_dir: Path | str) -> Store:
    """Opens a store; raises StoreNotFoundError, SchemaVersionError (too new, or to be migrated first), or LogError
    where store.json or schema.json is damaged."""
    store = open_unmigrated(store_dir)
    if store.schema_version < SCHEMA_VERSION:
        raise SchemaVersionError(
            f"The store in {store.path} has schema version {store.schema_version}, this RouteLens works with "
            f"{SCHEMA_VERSION}: run `routelens migrate --store {store.path}` once."
        )
    return store


def open_unmigrated(store_dir: Path | str) -> Store:
    """As `open_store`, but an older version is no error: what a migration starts from."""
    path = _usable_path(store_dir)
    try:
        raw = (path / "store.json").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise StoreNotFoundError(
            f"There is no store in {path}; record something first (`routelens infer ... --store {path}`)."
        ) from None
    except OSError as error:
        raise LogError(f"Cannot read {path / 'store.json'}: {error.strerror}.") from None
    try:
        content = json.loads(raw)
        born_version = int(content["schema_version"])
        _refuse_newer(path, born_version)
        _check_seal(raw, content)
        digest = hashlib.sha256(raw).hexdigest()
        return Store(
            path=path,
            store_id=content["store_id"],
            created_at=datetime.fromisoformat(content["created_at"]),
            text_salt=bytes.fromhex(content["text_salt"]),
            sha256=digest,
            born_version=born_version,
            schema_version=_reached_version(path, digest) or born_version,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LogError(
            f"{path / 'store.json'} is damaged ({error}); restore it from a copy, verify tells whether it is right."
        ) from None


def open_or_create_store(store_dir: Path | str) -> Store:
    """What a writer does: the first one makes the store."""
    try:
        return open_store(store_dir)
    except StoreNotFoundError:
        return create_store(store_dir)


def _usable_path(store_dir: Path | str) -> Path:
    path = Path(store_dir).resolve()
    if any(character in str(path) for character in _GLOB_CHARACTERS):
        raise LogError(
            f"The folder {path} has one of {_GLOB_CHARACTERS} in its name, which SQL reads as a pattern; rename it."
        )
    return path


def _reached_version(path: Path, store_sha256: str) -> int | None:
    """The version in schema.json; None where the store was never migrated. Raises LogError where it is damaged."""
    try:
        raw = (path / "schema.json").read_bytes()
        content = json.loads(raw)
        version = int(content["version"])
        _refuse_newer(path, version)
        _check_seal(raw, content)
        if content["store_sha256"] != store_sha256:
            raise ValueError("it belongs to another store")
        return version
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LogError(
            f"{path / 'schema.json'} is damaged ({error}); restore it from a copy, or delete it and run "
            f"`routelens migrate --store {path}` again."
        ) from None


def _refuse_newer(path: Path, version: int) -> None:
    if version > SCHEMA_VERSION:
        raise SchemaVersionError(
            f"The store in {path} has schema version {version}, this RouteLens knows {SCHEMA_VERSION}: "
            "update RouteLens to open it."
        )


def _check_seal(raw: bytes, content: dict[str, object]) -> None:
    if raw != sealed({key: value for key, value in content.items() if key != "sha256"}):
        raise ValueError("it does not match its own checksum")


def sealed(content: dict[str, object]) -> bytes:
    """The one byte sequence that says `content`: sorted keys, and the sha256 of the rest as the last key."""
    body = json.dumps(content, sort_keys=True)
    digest = hashlib.sha256(body.encode()).hexdigest()
    return (body[:-1] + f', "sha256": "{digest}"}}\n').encode()

"""Migrations: numbered steps that bring an older store to the schema version of this RouteLens.

`store.json` is where every hash chain begins, so a migration never touches it: the version that was reached, and each
step with its time, is recorded beside it in `schema.json`, which is replaced as a whole after each step. A step may be
repeated (a kill between the step and its record), and changes nothing that a manifest lists.

Version 0 was never released; its step is what the mechanism is tested with.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moe_core.errors import LogError, ManifestError, SchemaVersionError
from moe_core.log.heads import head_bytes, head_path, read_head
from moe_core.log.manifest import is_alive, read_lines, start
from moe_core.log.removal import alone
from moe_core.log.segments import write_durable
from moe_core.log.store import SCHEMA_VERSION, Store, open_unmigrated, sealed

Step = Callable[[Store], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class AppliedStep:
    """From one version to the next: what was done, and when (UTC, ISO 8601)."""

    from_version: int
    to_version: int
    what: str
    at: str


def heads_of_manifests(store: Store) -> None:
    """0 -> 1: each manifest has a head, the last number and hash of its chain, so that the loss of its end is seen."""
    for path in store.manifest_paths():
        if head_path(path).exists():
            continue
        reading = read_lines(path, start(store, path.stem))
        if reading.error is not None:
            raise ManifestError(f"manifest/{reading.error}; restore it from a copy, then migrate again.")
        if reading.entries:
            last = reading.entries[-1]
            write_durable(head_path(path), head_bytes(last.seq, last.hash))
            read_head(path)


STEPS: Mapping[int, Step] = {0: heads_of_manifests}  # by the version that they start from


def migrate(store_dir: Path | str, steps: Mapping[int, Step] = STEPS) -> list[AppliedStep]:
    """Brings a store up to date -> the steps that were needed, in order; none if it was.

    Raises SchemaVersionError for a newer store or a version that no step starts from; LogError while a writer of the
    store lives, or where writing fails. What was reached before stays reached.
    """
    store = open_unmigrated(store_dir)
    applied: list[AppliedStep] = []
    with alone(store):
        while (version := open_unmigrated(store.path).schema_version) < SCHEMA_VERSION:
            if version not in steps:
                raise SchemaVersionError(
                    f"The store in {store.path} has schema version {version}, from which no migration leads to "
                    f"{SCHEMA_VERSION}; open it with the RouteLens that wrote it."
                )
            if any(is_alive(path) for path in store.manifest_paths()):
                raise LogError(f"Somebody is writing into {store.path}; end that, then run `routelens migrate` again.")
            steps[version](store)
            what = (steps[version].__doc__ or steps[version].__name__).splitlines()[0]
            now = datetime.now(UTC).isoformat()
            step = AppliedStep(from_version=version, to_version=version + 1, what=what, at=now)
            _record(store, step)
            applied.append(step)
    return applied


def recorded_steps(store: Store) -> list[AppliedStep]:
    """The steps that this store went through."""
    return [AppliedStep(**step) for step in _recorded(store)]


def _record(store: Store, step: AppliedStep) -> None:
    steps = [*_recorded(store), asdict(step)]
    content = {"store_sha256": store.sha256, "version": step.to_version, "steps": steps}
    write_durable(store.schema_path, sealed(content))


def _recorded(store: Store) -> list[dict[str, Any]]:
    with suppress(FileNotFoundError):
        steps: list[dict[str, Any]] = json.loads(store.schema_path.read_bytes())["steps"]
        return steps
    return []

"""Events: who changed which setting, when, from what to what. They are lines of a manifest like everything else."""

import os
import threading
from pathlib import Path
from typing import Any

from moe_core.log.manifest import Entry, ManifestWriter
from moe_core.log.store import open_store

_writers: dict[tuple[int, Path], ManifestWriter] = {}  # one per process and store, for as long as the process lives
_lock = threading.Lock()


def record_event(store_dir: Path | str, actor: str | None, what: str, old: Any = None, new: Any = None) -> Entry:
    """Durable when it returns. `old` and `new` are plain JSON values. Raises LogError where it cannot be written."""
    store = open_store(store_dir)
    with _lock:
        key = (os.getpid(), store.path)
        if key not in _writers:
            _writers[key] = ManifestWriter(store)
        return _writers[key].append("event", {"actor": actor, "what": what, "from": old, "to": new})

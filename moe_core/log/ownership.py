"""Who owns index.duckdb: the process that holds the lock on index.lock, in which it notes its number."""

import fcntl
import os

from moe_core.errors import IndexLockedError, LogError
from moe_core.log.store import Store


def take_ownership(store: Store) -> int:
    """-> a descriptor; closing it gives the ownership up. Raises IndexLockedError if it is taken."""
    try:
        descriptor = os.open(store.index_lock_path, os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        raise LogError(
            f"Cannot open {store.index_lock_path}: {error.strerror}; make the folder writable or use a private index."
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise owned_by(store, f"process {owner}") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    return descriptor


def owned_by(store: Store, owner: str) -> IndexLockedError:
    return IndexLockedError(
        f"The index {store.index_path} is in use by {owner}; close that, or go on with a private index in memory."
    )

"""Who owns index.duckdb: the process that holds the lock on index.lock, in which it notes its number, and below it how
many tombstones the index takes into account, so that whoever erased something can see that it is gone there too."""

import fcntl
import os
from contextlib import suppress

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
        os.close(descriptor)
        raise owned_by(store, owner_name(store)) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    return descriptor


def owner_name(store: Store) -> str:
    """The process that owns the index, or was the last to own it, as it noted itself."""
    with suppress(OSError):
        return f"process {store.index_lock_path.read_text('ascii', 'replace').partition(chr(10))[0] or 'unknown'}"
    return "process unknown"


def note_tombstones(descriptor: int, n_tombstones: int) -> None:
    """The owner says how many tombstones the index takes into account."""
    with suppress(OSError):  # whoever waits for it is told to look again
        os.pwrite(descriptor, f"{os.getpid()}\n{n_tombstones:010d} tombstones\n".encode("ascii"), 0)


def noted_tombstones(store: Store) -> int | None:
    """How many tombstones the owner said it takes into account; None if it has not said."""
    try:
        _, line, *_ = store.index_lock_path.read_text("ascii").split("\n")
        return int(line.partition(" ")[0])
    except (OSError, ValueError):
        return None


def owned_by(store: Store, owner: str) -> IndexLockedError:
    return IndexLockedError(
        f"The index {store.index_path} is in use by {owner}; close that, or go on with a private index in memory."
    )

"""After something was erased: the index must be a fresh file, whoever owns it."""

import time
from typing import Literal

from moe_core.errors import IndexLockedError
from moe_core.log.index import Index
from moe_core.log.ownership import noted_tombstones
from moe_core.log.store import Store

WAIT_SECONDS = 30.0
IndexState = Literal["absent", "fresh", "pending"]


def renew_index(store: Store, n_tombstones: int, wait_seconds: float = WAIT_SECONDS) -> IndexState:
    """Makes sure that index.duckdb takes this many tombstones into account, and so holds nothing of what they erased.

    Where nobody owns it, opening it does that: an index that meets a new tombstone is made again as a fresh file. An
    owner does the same by itself and says so; `pending` means that it did not within `wait_seconds`.
    """
    if not any(store.path.glob("index.duckdb*")):
        return "absent"
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            Index.open(store).close()
            return "fresh"
        except IndexLockedError:
            if (noted_tombstones(store) or 0) >= n_tombstones:
                return "fresh"
            if time.monotonic() >= deadline:
                return "pending"
            time.sleep(0.1)

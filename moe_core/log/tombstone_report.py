"""What tombstones say, as sentences: for `verify` and `doctor`."""

from moe_core.log.catalog import Catalog
from moe_core.log.manifest import Entry
from moe_core.log.store import Store
from moe_core.log.tombstone_signature import signer
from moe_core.log.tombstones import Tombstone


def tombstone_problems(store: Store, catalog: Catalog, notes: list[str]) -> list[str]:
    """One note per tombstone (what, when, by whom, signed by which key), and one error per signature that is wrong."""
    errors = []
    for entry in catalog.tombstone_entries:
        tombstone = catalog.removals.tombstones[entry.writer_id, entry.seq]
        try:
            key = signer(store, entry)
        except ValueError as error:
            errors.append(f"manifest/{entry.writer_id}.jsonl line {entry.seq + 1} is a tombstone, but {error}.")
        else:
            notes.append(describe(tombstone, entry, key))
    return errors


def describe(tombstone: Tombstone, entry: Entry, key: str | None) -> str:
    """One tombstone as a sentence."""
    by = f" by {tombstone.actor}" if tombstone.actor else ""
    why = f" ({tombstone.reason})" if tombstone.reason else ""
    signed = f"signed with {key}" if key else "not signed"
    return f"Tombstone of {entry.at:%Y-%m-%d %H:%M} UTC{by}: {_what(tombstone)}{why}; {signed}."


def finish(catalog: Catalog, path: str) -> str:
    """What to run where a removed file is still there."""
    tombstone = catalog.removals.moves[path].tombstone
    if tombstone.action == "redact":
        return f"run `routelens redact --request {tombstone.requests[0].request_id}` again to finish"
    return "run `routelens retain` again to finish"


def _what(tombstone: Tombstone) -> str:
    if tombstone.action == "redact":
        ids = ", ".join(repr(request.request_id) for request in tombstone.requests)
        return f"{', '.join(tombstone.columns)} of request {ids} erased"
    files = [change.removed for change in tombstone.changes]
    n_decisions = sum(removed["decisions"].rows for removed in files)
    n_requests = sum(removed["requests"].rows for removed in files)
    counts = f"{len(files):,} batches, {n_requests:,} requests, {n_decisions:,} decisions"
    return f"day {tombstone.day} dropped with {counts}"

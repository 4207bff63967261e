"""`redact`, `retain`, `export`, `doctor`, `migrate`: the life cycle of the routing log."""

import getpass
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moe_core.cli.output import DEFAULT_STORE, JsonFlag, StoreOption, emit, table

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="Why, for the tombstone. It stays for ever: write nothing personal.")
]
ActorOption = Annotated[str | None, typer.Option("--actor", help="Who does it.", show_default="your login name")]
SignOption = Annotated[
    Path | None, typer.Option("--sign", metavar="KEY.pem", help="Private key that signs the tombstone, see `keys new`.")
]
PENDING = "the index is in use by a process that has not made it again yet: run this again, or end that process"


def redact(
    request: Annotated[str, typer.Option("--request", metavar="ID", help="The request to erase.")],
    reason: ReasonOption = None,
    actor: ActorOption = None,
    sign: SignOption = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonFlag = False,
) -> None:
    """Erase text, attributes and tokens of one request from the disk; its decisions stay."""
    from moe_core.log.redact import redact as erase

    done = erase(store, request, actor=actor or _login(), reason=reason, key=_key(sign))
    lines = [f"erased: {one.request_id} of run {one.run_id}{_companion(one.escalated_from)}" for one in done.erased]
    if not done.erased:
        lines = [f"erased before: {one.request_id} of run {one.run_id}" for one in done.before] or [
            "no run counts this request; it was only in files of a writer that was killed"
        ]
    lines.append(f"files deleted: {done.removed_files + done.orphans}; index: {done.index}")
    lines += [f"could not be searched, since it is damaged: {path}" for path in done.unsearched]
    emit({"request_id": request, **asdict(done)}, [*lines, *([PENDING] if done.index == "pending" else [])], as_json)
    if done.index == "pending" or done.unsearched:
        raise typer.Exit(1)


def retain(
    days: Annotated[int, typer.Option("--days", metavar="N", help="Keep the last N days (UTC, of the requests).")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    reason: ReasonOption = None,
    actor: ActorOption = None,
    sign: SignOption = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonFlag = False,
) -> None:
    """Drop whole days that are older than N days, after a tombstone that lists them."""
    from moe_core.log.retain import retain as drop

    done = drop(store, days, dry_run=dry_run, actor=actor or _login(), reason=reason, key=_key(sign))
    columns = ("day", "runs", "batches", "requests", "tokens", "decisions", "bytes")
    rows = [[getattr(day, column) for column in columns] for day in done.days]
    verb = "would be dropped" if dry_run else "dropped"
    lines = [*(table(columns, rows) if rows else []), f"{len(rows)} days before {done.before} {verb}"]
    if not dry_run:
        lines.append(f"files deleted: {done.removed_files + done.orphans}; index: {done.index}")
    document = {"days": days, "dry_run": dry_run, "before": done.before, "dropped": [asdict(day) for day in done.days],
                "removed_files": done.removed_files, "orphans": done.orphans, "index": done.index}  # fmt: skip
    emit(document, [*lines, *([PENDING] if done.index == "pending" else [])], as_json)
    if done.index == "pending":
        raise typer.Exit(1)


def export(
    run: Annotated[str, typer.Option("--run", metavar="RUN_ID", help="The run to export.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Absent or empty folder to write into.")],
    no_text: Annotated[
        bool, typer.Option("--no-text", help="Leave out what is personal: texts, attributes, tokens.")
    ] = False,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonFlag = False,
) -> None:
    """Write one run as a folder that explains itself."""
    from moe_core.log.export import export_run

    done = export_run(store, run, out, with_text=not no_text)
    lines = [f"{name}: {n:,} rows" for name, n in done.rows.items()]
    lines.append(f"{done.bytes:,} bytes in {done.out}; MANIFEST.json has the sha256 of each file")
    if not done.ended:
        lines.append("the run has not ended: this is what was acknowledged so far")
    if done.redacted:
        lines.append(f"{done.redacted} requests were redacted: their texts and tokens are null")
    emit(asdict(done), lines, as_json)


def doctor(store: StoreOption = DEFAULT_STORE, as_json: JsonFlag = False) -> None:
    """Explain any store: what it is, how it is, what to do."""
    from moe_core.log.doctor import diagnose

    found = diagnose(store)
    marks = {"ok": "  ", "note": "- ", "attention": "! "}
    lines = [
        f"{marks[one.level]}{one.what}" + (f"\n    What to do: {one.todo}." if one.todo else "")
        for one in found.findings
    ]
    document = {"healthy": found.healthy, **found.facts, "findings": [asdict(one) for one in found.findings]}
    emit(document, [part for line in lines for part in line.split("\n")], as_json)
    if not found.healthy:
        raise typer.Exit(1)


def migrate(store: StoreOption = DEFAULT_STORE, as_json: JsonFlag = False) -> None:
    """Bring a store of an older schema version up to date."""
    from moe_core.log.migrations import migrate as bring_up_to_date
    from moe_core.log.store import SCHEMA_VERSION

    steps = bring_up_to_date(store)
    lines = [f"version {step.from_version} -> {step.to_version}: {step.what}" for step in steps]
    document = {"schema_version": SCHEMA_VERSION, "steps": [asdict(step) for step in steps]}
    emit(document, [*lines, f"the store has schema version {SCHEMA_VERSION}"], as_json)


def _login() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


def _companion(escalated_from: str | None) -> str:
    return f" (the same text: it ran request {escalated_from} again)" if escalated_from else ""


def _key(path: Path | None) -> "Ed25519PrivateKey | None":
    if path is None:
        return None
    from moe_core.log.signature import load_private_key

    return load_private_key(path)

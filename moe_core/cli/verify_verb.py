"""`verify`, `keys new`: whether the log still says what was recorded, and what shows it to others."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moe_core.cli.output import DEFAULT_STORE, JsonFlag, StoreOption, emit, table

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

keys_app = typer.Typer(help="Keys that sign published heads.", no_args_is_help=True)


def verify(
    publish_head: Annotated[
        Path | None,
        typer.Option("--publish-head", help="Write how far the chains have come to this file, to be kept elsewhere."),
    ] = None,
    sign: Annotated[Path | None, typer.Option("--sign", help="private.pem that signs the published head.")] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", help="Published heads (a file, or a folder of them) to compare with; repeatable."),
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", help="public.pem that must have signed what --against names.")
    ] = None,
    decision: Annotated[
        tuple[str, str, int] | None,
        typer.Option(
            "--decision",
            metavar="RUN_ID REQUEST_ID POSITION",
            help="Prove what was decided for one token (positions count from 0) in place of checking everything; "
            "docs/check_decision.py checks the proof without RouteLens.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File for the proof of --decision.")] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonFlag = False,
) -> None:
    """Check every hash chain, file and row count of a store; publish its heads; prove one decision."""
    from moe_core.errors import InputError
    from moe_core.log.signature import load_public_key

    for name, is_given, needed, is_there in (
        ("--sign", sign is not None, "--publish-head", publish_head is not None),
        ("--public-key", public_key is not None, "--against", bool(against)),
        ("--out", out is not None, "--decision", decision is not None),
    ):
        if is_given and not is_there:
            raise InputError(f"{name} goes with {needed}: add {needed} or leave {name} out.")
    if decision is not None and publish_head is not None:
        raise InputError("--decision and --publish-head are two tasks: give one of them.")
    key = None if public_key is None else load_public_key(public_key)
    if decision is not None:
        _prove(store, decision, against or [], key, out, as_json)
    else:
        _check(store, against or [], key, publish_head, sign, as_json)


def _check(
    store: Path,
    against: list[Path],
    public_key: "Ed25519PublicKey | None",
    publish_to: Path | None,
    private_key: Path | None,
    as_json: bool,
) -> None:
    from moe_core.log.published_heads import publish_heads
    from moe_core.log.signature import load_private_key
    from moe_core.log.store import open_store
    from moe_core.log.verify import verify_store

    key = None if private_key is None else load_private_key(private_key)
    report = verify_store(store, against, public_key)
    verdict = "intact" if report.ok else "DAMAGED OR ALTERED"
    lines = [f"{verdict}: {report.segments:,} segments, {report.decisions:,} decisions", *report.errors, *report.notes]
    lines += [lacking.sentence(run_id) for run_id, lacking in report.incomplete.items()]
    if report.compared and report.ok:
        lines.append(f"published heads compared: {report.compared}, all that they name is still there")
    document: dict[str, Any] = {"ok": report.ok, "segments": report.segments, "decisions": report.decisions,
                                "errors": list(report.errors), "notes": list(report.notes),
                                "compared": report.compared, "published": None,
                                "incomplete": [lacking.to_fields(run_id)
                                               for run_id, lacking in report.incomplete.items()]}  # fmt: skip
    if publish_to is not None and report.ok:
        heads = publish_heads(open_store(store), publish_to, key)
        document["published"] = {
            "path": heads.name,
            "published_at": heads.published_at.isoformat(),
            "writers": len(heads.writers),
            "decisions": heads.decisions,
            "is_signed": heads.is_signed,
        }
        how = "signed" if heads.is_signed else "not signed"
        lines.append(f"published, {how}: {len(heads.writers)} chains, {heads.decisions:,} decisions in {heads.name}")
    elif publish_to is not None:
        lines.append("nothing was published: mend the store first, or publish a copy of it that is intact.")
    emit(document, lines, as_json)
    if not report.ok:
        raise typer.Exit(1)


def _prove(
    store: Path,
    decision: tuple[str, str, int],
    against: list[Path],
    public_key: "Ed25519PublicKey | None",
    out: Path | None,
    as_json: bool,
) -> None:
    from moe_core.errors import ManifestError, SegmentError
    from moe_core.log.proof import TokenOfRequest, prove_decision, render
    from moe_core.log.published_heads import find_published, read_published
    from moe_core.log.segments import write_durable
    from moe_core.log.store import open_store

    run_id, request_id, position = decision
    token = TokenOfRequest(run_id=run_id, request_id=request_id, position=position)
    try:
        published = [read_published(path, public_key) for path in find_published(against)]
        proof = prove_decision(open_store(store), token, published)
    except (ManifestError, SegmentError) as error:
        emit({"ok": False, "errors": [str(error)]}, [f"NOT PROVED: {error}"], as_json)
        raise typer.Exit(1) from None
    columns = ("layer", "expert_id", "rank", "selected", "gate_weight", "margin", "prob", "logit", "flags")
    lines = table(columns, [[row[name] for name in columns] for row in proof["decisions"]])
    lines.append(f"head {proof['head']['digest']}, " + ("which was published" if published else "not published"))
    if out is not None:
        write_durable(out, render(proof))
        lines.append(f"proof: {out}; check it with `python docs/check_decision.py {out}`")
    emit({"ok": True, "errors": [], "path": None if out is None else str(out), "proof": proof}, lines, as_json)


@keys_app.command("new")
def new_keys(
    folder: Annotated[Path, typer.Argument(help="Folder for private.pem and public.pem.")],
    as_json: JsonFlag = False,
) -> None:
    """Make a pair of Ed25519 keys. Keep the private one off the machine of the store."""
    from moe_core.log.signature import make_key_pair

    private_path, public_path = make_key_pair(folder)
    emit(
        {"private": str(private_path), "public": str(public_path)},
        [f"private key: {private_path} (keep it where the store is not)", f"public key: {public_path} (hand it out)"],
        as_json,
    )

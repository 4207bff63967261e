"""`infer` and `embed`: run the model on texts."""

import getpass
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moe_core.cli.output import DEFAULT_STORE, JsonFlag, ModelOption, StoreOption, emit, note, table
from moe_core.errors import InputError
from moe_core.request_files import TextRow, read_rows

if TYPE_CHECKING:
    from moe_core.model.requests import Answer, Setting
    from moe_core.model.session import Session

FLUSH_EVERY = 256
BudgetOption = Annotated[float, typer.Option("--budget", help="Share of the expert compute to spend, above 0 to 1.")]
ModeOption = Annotated[str, typer.Option("--mode", help="adaptive, dense (the untouched original) or topk.")]
TruncateFlag = Annotated[bool, typer.Option("--truncate", help="Cut texts longer than the model reads.")]


def infer(
    texts: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts to answer.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help=".txt, .csv, .jsonl, or - for stdin.")] = None,
    budget: BudgetOption = 0.5,
    mode: ModeOption = "adaptive",
    head: Annotated[str | None, typer.Option("--head", help="Classifier that answers.")] = None,
    model: ModelOption = None,
    column: Annotated[str, typer.Option("--column", help="Column or key that holds the text.")] = "text",
    attr: Annotated[list[str] | None, typer.Option("--attr", help="Column to keep as attribute; repeatable.")] = None,
    domain: Annotated[str | None, typer.Option("--domain", help="Column that names the domain.")] = None,
    no_log: Annotated[bool, typer.Option("--no-log", help="Answer without writing to the log.")] = False,
    truncate: TruncateFlag = False,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonFlag = False,
) -> None:
    """Answer texts and log every routing decision."""
    rows = [TextRow(number=number, text=text) for number, text in enumerate(texts or [], start=1)]
    if file is not None:
        rows += read_rows(file, column=column, attributes=attr or (), domain=domain)
    if not rows:
        raise InputError("There is no text: give TEXT on the command line or --file.")
    from moe_core.log.writer import SegmentSink
    from moe_core.model.reference import load_model

    routed = load_model(model)
    setting = _setting(mode, budget, head or routed.default_head, truncate)
    routed.session(setting)  # refuses a bad setting before the log is opened
    routed.tokenizer.encode([row.text for row in rows], truncate=truncate)
    started = time.perf_counter()
    if no_log:
        session = routed.session(setting)
        answers = session.answer(_requests(rows))
    else:
        with SegmentSink(store) as sink:
            session = routed.session(setting, sink, source="infer", actor=_actor())
            answers = []
            for start in range(0, len(rows), FLUSH_EVERY):
                answers += session.answer(_requests(rows[start : start + FLUSH_EVERY]), first_number=start + 1)
                sink.flush()
                if len(rows) > FLUSH_EVERY:
                    note(f"{session.run.run_id}: {len(answers)} of {len(rows)} requests acknowledged")
    wall_ms = 1000 * (time.perf_counter() - started)
    document = _document(session, answers, wall_ms, None if no_log else store)
    emit(document, _lines(document), as_json)


def embed(
    file: Annotated[Path, typer.Option("--file", help="One text a line.")],
    out: Annotated[Path, typer.Option("--out", help="Where to write the (N, 384) float32 array, .npy.")],
    budget: BudgetOption = 0.5,
    mode: ModeOption = "adaptive",
    model: ModelOption = None,
    truncate: TruncateFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Write L2-normalised embeddings, one row a line of the file."""
    rows = read_rows(file)
    for place, row in enumerate(rows, start=1):
        if file.suffix.lower() == ".txt" and row.number != place:
            raise InputError(f"{file}, line {place} is empty: rows of the result must match lines; remove it.")
    if out.suffix != ".npy":
        raise InputError(f"--out {out} must end in .npy.")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.parent}: make it first.")
    import numpy as np

    from moe_core.model.reference import collect, load_model

    routed = load_model(model)
    session = routed.session(_setting(mode, budget, None, truncate))
    result = collect(session.run.run_id, session.answer(_requests(rows)), routed.config)
    np.save(out, result.embeddings, allow_pickle=False)
    document = {"n": len(rows), "active_fraction": result.active_fraction, "flops": result.flops,
                "flops_dense": result.flops_dense, "out": str(out)}  # fmt: skip
    share = result.flops / result.flops_dense
    emit(document, [f"{len(rows)} embeddings in {out}; {share:.0%} of the dense original's FLOPs"], as_json)


def _setting(mode: str, budget: float, head: str | None, truncate: bool) -> "Setting":
    from moe_core.model.requests import Setting
    from moe_core.model.router import MODES

    if mode not in MODES:
        raise InputError(f"Mode {mode!r} is unknown: use one of {', '.join(MODES)}.")
    return Setting(mode=mode, budget=budget, head=head, truncate=truncate)


def _actor() -> str | None:
    """The user's login name for the log; containers may run under a number that has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


def _requests(rows: list[TextRow]) -> list[Any]:
    from moe_core.model.requests import TextRequest

    return [
        TextRequest(text=row.text, domain=row.domain, attributes=row.attributes, reference_label=row.label)
        for row in rows
    ]


def _document(session: "Session", answers: "list[Answer]", wall_ms: float, store: Path | None) -> dict[str, Any]:
    n_tokens = sum(a.n_tokens for a in answers)
    requests = [
        {
            "request_id": a.request_id, "label": a.label, "score": a.score, "n_tokens": a.n_tokens,
            "active_fraction": a.active_fraction, "flops": a.flops, "flops_dense": a.flops_dense,
            "latency_ms": a.latency_ms, "decisions": a.n_decisions,
        }
        for a in answers
    ]  # fmt: skip
    totals = {
        "requests": len(answers),
        "n_tokens": n_tokens,
        "decisions": sum(a.n_decisions for a in answers),
        "active_fraction": sum(a.active_fraction * a.n_tokens for a in answers) / n_tokens,
        "flops": sum(a.flops for a in answers),
        "flops_dense": sum(a.flops_dense for a in answers),
        "wall_ms": wall_ms,
        "logged": store is not None,
        "store": None if store is None else str(store),
    }
    return {"run_id": session.run.run_id, "mode": session.setting.mode, "budget": session.run.budget,
            "model": session.run.model, "requests": requests, "totals": totals}  # fmt: skip


def _lines(document: dict[str, Any]) -> list[str]:
    totals = document["totals"]
    rows = [
        (r["request_id"], r["label"] or "-", "-" if r["score"] is None else f"{r['score']:.3f}", r["n_tokens"],
         f"{r['active_fraction']:.2f}", f"{r['flops'] / r['flops_dense']:.0%}", f"{r['latency_ms']:.1f}")
        for r in document["requests"][:20]
    ]  # fmt: skip
    head = ("request", "label", "score", "tokens", "experts used", "FLOPs vs dense", "ms")
    more = totals["requests"] - len(rows)
    kept = f"{totals['decisions']:,} decisions in {totals['store']}" if totals["logged"] else "nothing logged"
    share = totals["flops"] / totals["flops_dense"]
    return [
        *table(head, rows),
        *([f"... and {more} more (use --json for all)"] if more else []),
        f"{totals['requests']} requests, {share:.0%} of the dense original's FLOPs; {kept}",
    ]

"""`audit`: are groups routed, charged or answered differently?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moe_core.cli.output import DEFAULT_STORE, JsonFlag, StoreOption, emit, table

if TYPE_CHECKING:
    import pandas as pd

    from moe_core.analysis.audit.audit import AuditReport


def audit(
    group: Annotated[
        str, typer.Option("--group", metavar="COLUMN", help="What divides the requests: an attribute, or a column.")
    ],
    outcome: Annotated[
        str | None, typer.Option("--outcome", metavar="COLUMN", help="Answers to compare, e.g. label.")
    ] = None,
    favourable: Annotated[
        str | None,
        typer.Option("--favourable", metavar="VALUE", help="The favourable outcome; without --outcome, label.")
    ] = None,
    strata: Annotated[
        list[str] | None,
        typer.Option("--strata", metavar="COLUMN", help="Compare within this column only; also length, frequency."),
    ] = None,
    unit: Annotated[
        str | None, typer.Option("--unit", metavar="COLUMN", help="One document is all requests of one value of this.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", metavar="VALUE", help="Compare every group with this one.")
    ] = None,
    run: Annotated[
        list[str] | None, typer.Option("--run", metavar="ID", help="Run to audit; repeatable.", show_default="newest")
    ] = None,
    min_group: Annotated[
        int | None,
        typer.Option("--min-group", metavar="N", help="Documents that a group needs to be tested.",
                     show_default="20 where two groups have as many, else 5"),
    ] = None,
    windows: Annotated[
        str | None,
        typer.Option("--windows", metavar="hour|day|week|N", help="The same audit over time too; N: equal numbers."),
    ] = None,
    settings: Annotated[
        Path | None, typer.Option("--settings", help="TOML file with permutations, seed, effect gates, ...")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonFlag = False,
) -> None:  # fmt: skip
    """Test whether groups are routed, charged or answered differently.

    Three verdicts that are never merged, and two controls that show whether the audit can be believed: if it cannot,
    the report is stamped NOT VALID and the exit code is 1. COLUMN is a key of the attributes of requests or one of
    their columns. Method and error rates: docs/audit-method.md.
    """
    from dataclasses import replace

    from moe_core.analysis.audit.question import LogFrames, Question, audit_question
    from moe_core.analysis.audit.settings import AuditSettings
    from moe_core.analysis.audit.windows import watch, window_length
    from moe_core.config import load_config
    from moe_core.log.audit_queries import audit_frames
    from moe_core.log.index import Index

    chosen = AuditSettings() if settings is None else load_config(settings, AuditSettings)
    if reference is not None:
        chosen = replace(chosen, reference=reference)
    if min_group is not None:
        chosen = replace(chosen, min_group=min_group)
    length = None if windows is None else window_length(windows)
    with Index.open_or_private(store) as index:
        audited = audit_question(
            LogFrames(**audit_frames(index, run or ())),
            Question(group=group, outcome=outcome, favourable=favourable, strata=tuple(strata or ()), unit=unit),
            chosen,
        )
    frame = None if length is None else watch(audited.report.documents, length, chosen, audited.outcomes)
    emit(audited.document(frame), [] if as_json else _lines(audited.report, audited.run_ids, frame), as_json)
    if not audited.report.validity.valid:
        raise typer.Exit(1)


def _lines(report: "AuditReport", runs: list[str], windows: "pd.DataFrame | None") -> list[str]:
    from moe_core.analysis.audit import report_lines as lines

    shown = [f"Audit of {', '.join(runs)}", *lines.heading(report), ""]
    tables = [
        lines.layer_table(report), lines.cell_table(report), lines.compute_table(report), *lines.outcome_tables(report)
    ]  # fmt: skip
    for head, rows in tables:
        if rows:
            shown += [*table(head, rows), ""]
    if windows is not None:
        shown += [*table(*lines.window_table(windows)), *lines.window_lines(windows, report), ""]
    shown += [*lines.latency_lines(report), *lines.rare_case_lines(report), *lines.self_test_lines(report)]
    return [*shown, "", *lines.method_lines(report)]

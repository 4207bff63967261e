"""`audit`: are groups routed, charged or answered differently?"""

from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moe_core.cli.output import DEFAULT_STORE, JsonFlag, StoreOption, emit, table

if TYPE_CHECKING:
    from moe_core.analysis.audit.audit import AuditReport
    from moe_core.analysis.audit.settings import AuditSettings
    from moe_core.analysis.audit.validity import RecordCheck
    from moe_core.log.index import Index


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

    from moe_core.analysis.audit.report_document import to_document
    from moe_core.analysis.audit.settings import AuditSettings
    from moe_core.config import load_config
    from moe_core.errors import IndexLockedError
    from moe_core.log.index import Index
    from moe_core.log.store import open_store

    chosen = AuditSettings() if settings is None else load_config(settings, AuditSettings)
    if reference is not None:
        chosen = replace(chosen, reference=reference)
    opened = open_store(store)
    try:
        index = Index.open(opened)
    except IndexLockedError:  # the dashboard has it
        index = Index.open_private(opened)
    with index:
        found, runs, record = _audit(index, run or [], group, outcome, favourable, strata or [], unit, chosen)
    names = [str(run["run_id"]) for run in runs]
    document = {"runs": names, "identity": runs, **to_document(found, record)}
    emit(document, [] if as_json else _lines(found, names), as_json)
    if not found.validity.valid:
        raise typer.Exit(1)


def _audit(
    index: "Index", run_ids: list[str], group: str, outcome: str | None, favourable: str | None, strata: list[str],
    unit: str | None, settings: "AuditSettings",
) -> "tuple[AuditReport, list[dict[str, Any]], RecordCheck]":  # fmt: skip
    """Reads what is needed, and hands it over."""
    from moe_core.analysis.audit.audit import run_audit, strata_of
    from moe_core.analysis.audit.documents import documents
    from moe_core.analysis.audit.outcome_columns import outcomes_of
    from moe_core.analysis.audit.rare_cases import audit_rare_cases
    from moe_core.analysis.audit.validity import RecordCheck
    from moe_core.log import audit_queries as log

    chosen = log.runs_to_audit(index, run_ids)
    runs = [str(run_id) for run_id in chosen["run_id"]]
    shape = int(chosen["n_layers"].iloc[0]), int(chosen["n_experts"].iloc[0])
    decisions, rarity = log.routing_counts(index, runs), log.token_rarity(index, runs)
    found = documents(log.audit_requests(index, runs), decisions, shape, group=group, unit=unit, settings=settings)
    column = outcome or ("label" if favourable is not None else None)
    outcomes = None if column is None else outcomes_of(found, column, favourable)
    rare_cases = audit_rare_cases(log.dense_answers(index, runs), rarity, settings)
    damage = {name: int(value) for name, value in log.damage_of_runs(index, runs).iloc[0].items()}
    is_demo = bool((chosen["source"] == "demo").any())
    record = RecordCheck(decisions=int(decisions["n"].sum()), demo=is_demo, **damage)
    by = strata_of(found, strata, settings, rarity)
    report = run_audit(found, settings, by=by, outcomes=outcomes, rare_cases=rare_cases, record=record)
    identity = chosen[["run_id", "started_at", "source", "model", "model_sha256", "mode", "budget"]]
    return report, [_known(row) for row in identity.to_dict("records")], record


def _known(row: dict[Hashable, Any]) -> dict[str, Any]:
    """What identifies a run, as JSON has it."""
    return {str(name): None if value is None or value != value else value for name, value in row.items()}


def _lines(report: "AuditReport", runs: list[str]) -> list[str]:
    from moe_core.analysis.audit import report_lines as lines

    shown = [f"Audit of {', '.join(runs)}", *lines.heading(report), ""]
    tables = [
        lines.layer_table(report), lines.cell_table(report), lines.compute_table(report), *lines.outcome_tables(report)
    ]  # fmt: skip
    for head, rows in tables:
        if rows:
            shown += [*table(head, rows), ""]
    return [*shown, *lines.rare_case_lines(report), *lines.self_test_lines(report), "", *lines.method_lines(report)]

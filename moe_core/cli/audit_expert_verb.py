"""`audit-expert`: does an expert carry the difference between groups? Mask it, and look at gap and quality."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moe_core.cli.output import JsonFlag, ModelOption, emit, note, table
from moe_core.errors import InputError
from moe_core.request_files import TextRow, read_rows

if TYPE_CHECKING:
    from moe_core.evaluation.expert_effect import ExpertEffects

Expert = tuple[int, int]
NOT_SHOWN = (
    "Holds for this model, head, setting and these texts. Rank an expert by its p against experts of a similar load, "
    "not by its interval alone: masking any busy expert changes answers. Experts that do the same work hide each "
    "other: see the group of all."
)


def audit_expert(
    file: Annotated[Path, typer.Option("--file", help=".csv or .jsonl with `text`, the group column, maybe `label`.")],
    group: Annotated[str, typer.Option("--group", metavar="COLUMN", help="Column that names the group of a text.")],
    favourable: Annotated[str, typer.Option("--favourable", metavar="VALUE", help="The favourable label of the head.")],
    value: Annotated[
        str | None, typer.Option("--value", help="The group to compare with all others (of two: the smaller).")
    ] = None,
    expert: Annotated[list[str] | None, typer.Option("--expert", help="LAYER:EXPERT to mask; repeatable.")] = None,
    audit: Annotated[
        Path | None, typer.Option("--audit", help="JSON of `routelens audit --json`: mask what it flags.")
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="Of an audit, take at most so many, largest first.")] = 5,
    head: Annotated[str | None, typer.Option("--head", help="Classifier that answers.")] = None,
    budget: Annotated[float, typer.Option("--budget", help="Share of the expert compute to spend.")] = 0.5,
    texts: Annotated[int, typer.Option("--texts", min=40, help="Use at most so many texts, the first ones.")] = 600,
    controls: Annotated[int, typer.Option("--controls", min=1, max=100, help="Experts to compare each one with.")] = 12,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    model: ModelOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Mask experts one at a time and together; compare the change of the outcome gap with load-matched experts."""
    from moe_core.model.lost_experts import parse_expert

    flagged = [parse_expert(name) for name in expert or ()]
    flagged += [each for each in (_flagged(audit, most) if audit is not None else []) if each not in flagged]
    rows = [row for row in read_rows(file, attributes=[group]) if row.attributes.get(group)]
    of_interest = _value(rows, group, value, file)
    import numpy as np

    from moe_core.evaluation.expert_effect import EffectPlan, measure_effects
    from moe_core.model.reference import load_model

    routed = load_model(model)
    answering = head or routed.default_head
    if answering is None:
        raise InputError("No head answers: give --head NAME.")
    rows = rows[:texts]
    plan = EffectPlan(head=answering, favourable=favourable, budget=budget, controls=controls, seed=seed)
    in_group = np.array([row.attributes[group] == of_interest for row in rows])
    found = measure_effects(
        routed, [row.text for row in rows], [row.label for row in rows], in_group, flagged, plan, progress=note
    )
    emit(_document(found, group, of_interest, plan.head, favourable, budget), _lines(found, of_interest), as_json)


def _value(rows: Sequence[TextRow], group: str, value: str | None, file: Path) -> str:
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row.attributes[group]] = sizes.get(row.attributes[group], 0) + 1
    if len(sizes) < 2:
        raise InputError(f"{file}: column {group!r} names {len(sizes)} group(s): at least two are needed to compare.")
    if value is not None and value not in sizes:
        raise InputError(f"{file}: no row has {group} = {value!r}; there are: {', '.join(sorted(sizes)[:12])}.")
    if value is None and len(sizes) > 2:
        raise InputError(f"{file}: column {group!r} has {len(sizes)} groups: name one with --value.")
    return value or min(sizes, key=lambda name: (sizes[name], name))


def _flagged(path: Path, most: int) -> list[Expert]:
    """Experts whose share or activation an audit flags, once each, those with the largest difference first.

    Rows about a whole layer (expert -1) name no expert.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        cells = [cell for cell in [*document["cells"], *(document.get("activation") or [])] if cell["flagged"]]
        cells.sort(key=lambda cell: -abs(float(cell["difference"])))
        found = [(int(cell["layer"]), int(cell["expert_id"])) for cell in cells if int(cell["expert_id"]) >= 0]
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): give what `audit --json` printed.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not what `routelens audit --json` printed ({error!r}).") from error
    if not found:
        raise InputError(f"{path} flags no expert, so there is nothing to mask: name some with --expert.")
    return list(dict.fromkeys(found))[:most]


def _document(
    found: "ExpertEffects", group: str, value: str, head: str, favourable: str, budget: float
) -> dict[str, Any]:
    from moe_core.analysis.json_rows import json_rows

    return {
        "group": group, "value": value, "head": head, "favourable": favourable, "budget": budget,
        "texts": {"group": found.n_group, "others": found.n_others}, "gap_points": found.gap,
        "accuracy": found.quality, "controls": found.n_controls, "controls_same_layer": found.same_layer,
        "masked": json_rows(found.rows.assign(experts=_names(found))), "not_shown": NOT_SHOWN,
    }  # fmt: skip


def _names(found: "ExpertEffects") -> list[list[str]]:
    from moe_core.model.lost_experts import expert_name

    return [[expert_name(expert) for expert in experts] for experts in found.rows["experts"]]


def _lines(found: "ExpertEffects", value: str) -> list[str]:
    rows = [
        (row.kind, "+".join(names), f"{row.change:+.2f}", f"{row.low:+.2f} to {row.high:+.2f}",
         f"{row.score_change:+.1f}", f"{row.quality_change:+.2f}",
         f"{row.quality_low:+.2f} to {row.quality_high:+.2f}", f"{int(row.larger_controls)} of {int(row.controls)}",
         f"{row.p:.3f}")
        for row, names in zip(found.rows.itertuples(), _names(found), strict=True)
        if row.kind in ("expert", "group")
    ]  # fmt: skip
    head = ("masked", "experts", "gap change", "95 %", "score x1000", "quality", "95 %", "controls as large", "p")
    return [
        f"favourable answers, {value} minus the others: {found.gap:+.2f} points ({found.n_group} and {found.n_others} "
        f"texts); {found.n_controls} controls, {found.same_layer} of them in the same layers",
        *table(head, rows),
        NOT_SHOWN,
    ]

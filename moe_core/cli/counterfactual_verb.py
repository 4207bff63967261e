"""`counterfactual`: the same text with one attribute swapped; what changes beyond a neutral swap?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from moe_core.cli.output import JsonFlag, ModelOption, emit, note, table
from moe_core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "data" / "counterfactuals" / "en.jsonl"
LARGEST_FILE = 16 * 1024 * 1024


def counterfactual(
    templates: Annotated[
        Path, typer.Option("--templates", help="JSON lines of slots and templates; data/counterfactuals/README.md.")
    ] = TEMPLATES,
    head: Annotated[str | None, typer.Option("--head", help="Classifier that answers.")] = None,
    label: Annotated[
        str | None, typer.Option("--label", help="Label whose probability is the score (the head's last one).")
    ] = None,
    budget: Annotated[float, typer.Option("--budget", help="Share of the expert compute to spend.")] = 0.5,
    permutations: Annotated[
        int, typer.Option("--permutations", min=99, max=99_999, help="Draws of the null distribution.")
    ] = 999,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    model: ModelOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Swap one attribute in every template and compare routing, compute and answer with neutral swaps."""
    from moe_core.analysis.counterfactual.templates import parse_templates
    from moe_core.analysis.counterfactual.verdicts import document

    wordings = parse_templates(_read(templates), str(templates))
    from moe_core.evaluation.counterfactual import run_counterfactuals, scored_label
    from moe_core.model.reference import load_model

    routed = load_model(model)
    answering = head or routed.default_head
    reports = run_counterfactuals(
        routed, wordings, budget=budget, head=answering, label=label, permutations=permutations, seed=seed,
        progress=note,
    )  # fmt: skip
    attributes = [document(report) for report in reports]
    result: dict[str, Any] = {
        "valid": all(report.valid for report in reports),
        "model": routed.name,
        "model_sha256": routed.sha256,
        "budget": budget,
        "head": answering,
        "label": scored_label(routed, answering, label),
        "templates": str(templates),
        "seed": seed,
        "attributes": attributes,
    }
    emit(result, _lines(attributes), as_json)


def _read(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"There is no file {path}: give a JSON-lines file of templates.")
    if path.stat().st_size > LARGEST_FILE:
        raise InputError(f"{path} is larger than {LARGEST_FILE // 2**20} MB: split it into several files.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8: save the file as UTF-8.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error


def _found(p: float) -> str:
    return f"{'found' if p <= 0.05 else 'not found'} (p = {p:.3f})"


def _lines(attributes: list[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for each in attributes:
        lines += [f"== {each['attribute']}: {', '.join(each['groups'])}"]
        lines += [line for line in each["notes"] if line.startswith(("NOT VALID", "Underpowered", "Too few"))]
        lines += [f"{name}: {sentence}" for name, sentence in each["verdicts"].items()]
        rows = [
            (row["layer"], f"{row['swap']:.1%}", f"{row['neutral']:.1%}", f"{100 * row['difference']:+.2f}",
             f"{100 * row['low']:+.2f} to {100 * row['high']:+.2f}", f"{row['p']:.3f}", "yes" if row["flagged"] else "")
            for row in each["layers"]
        ]  # fmt: skip
        lines += table(("layer", "swap", "neutral", "points", "95 %", "p", "flagged"), rows)
        tests = each["self_tests"]
        lines += [
            f"self-tests: {tests['alarms']} of {tests['shuffles']} shuffled runs significant (at most 17); planted "
            f"difference of 10 % {_found(tests['planted_p'])}, of 40 % {_found(tests['gross_p'])}",
            "",
        ]
    return [*lines, attributes[0]["notes"][-1]]

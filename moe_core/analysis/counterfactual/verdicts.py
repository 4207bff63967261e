"""A counterfactual report in sentences: routing, compute and answer apart, each with its n, interval and limit."""

from dataclasses import asdict
from typing import Any

from moe_core.analysis.counterfactual.report import FEW_TEMPLATES, GATE, CounterfactualReport
from moe_core.analysis.counterfactual.self_tests import ALPHA, SelfTests
from moe_core.analysis.json_rows import json_rows

INTERVALS = (
    "Intervals are for further templates and further words. They are wide where there is no difference: in simulations "
    "95 to 100 % of them held the true value, so an interval can include 0 where the test finds a difference."
)
NOT_SHOWN = (
    "A routing difference is not a difference in answers or in harm. The result holds for this model, this setting, "
    "these templates and these words, not for people."
)


def verdicts(report: CounterfactualReport) -> dict[str, str]:
    """Three sentences: `routing`, `compute`, `answer`."""
    return {
        "routing": _routing(report),
        "compute": _other(report, "experts", "experts per token", 3),
        "answer": _other(report, "score", "the score", 4),
    }


def _routing(report: CounterfactualReport) -> str:
    rows = report.routing
    flagged = rows[rows["flagged"]]
    largest = rows.loc[rows["difference"].idxmax()]
    n = f"{report.templates} templates, {report.swaps} swaps against {report.neutral_swaps} neutral swaps"
    size = (
        f"{100 * largest['difference']:+.1f} points of the choices for unchanged words (95 % interval "
        f"{100 * largest['low']:+.1f} to {100 * largest['high']:+.1f}) in layer {int(largest['layer'])}"
    )
    if flagged.empty:
        return (
            f"No routing difference of at least {100 * GATE:g} points found beyond a neutral swap ({n}); the largest "
            f"is {size}; differences from {100 * rows['detectable'].max():.1f} points on would have been found."
        )
    layers = ", ".join(str(int(layer)) for layer in flagged["layer"])
    sentence = f"Routing difference beyond a neutral swap in layer {layers} ({n}); the largest is {size}."
    same, alike = report.same_length, report.templates_same_length
    kept = same[same["flagged"]]
    if kept.empty and alike < FEW_TEMPLATES:
        return f"{sentence} Words of equally many tokens ({alike} templates) are too few to tell it from word length."
    if kept.empty:
        return f"{sentence} With words of equally many tokens ({alike} templates) no layer is flagged."
    left = ", ".join(str(int(layer)) for layer in kept["layer"])
    return f"{sentence} With words of equally many tokens ({alike} templates) it stays in layer {left}."


def _other(report: CounterfactualReport, measure: str, name: str, digits: int) -> str:
    """The groups' own levels (signed), and whether swaps move the measure more than neutral ones (unsigned)."""
    row = report.other[report.other["measure"] == measure].iloc[0]
    groups = report.groups[report.groups["measure"] == measure]
    far = groups.loc[groups["difference"].abs().idxmax()]
    found = [str(g) for g in groups[groups["p"] <= ALPHA]["group"]]
    level = (
        f"largest difference of a group from the others: {far['group']} {far['difference']:+.{digits}f} (95 % interval "
        f"{far['low']:+.{digits}f} to {far['high']:+.{digits}f}, p = {far['p']:.3f})"
    )
    moved = (
        f"a swap moves {name} by {row['swap']:.{digits}f}, a neutral one by {row['neutral']:.{digits}f} "
        f"(p = {row['p']:.3f})"
    )
    opening = f"Difference in {name} for: {', '.join(found)}" if found else f"No group differs in {name}"
    return f"{opening}; {level}; {moved}; n = {report.templates} templates."


def notes(report: CounterfactualReport) -> list[str]:
    """What limits this report, NOT VALID first."""
    result = []
    tests = report.tests
    if not report.valid:
        reason = (
            f"{tests.alarms} of {tests.shuffles} runs with shuffled groups were significant"
            if not tests.quiet
            else "a large planted difference was not found"
        )
        result.append(f"NOT VALID: {reason}; do not use these results.")
    if report.few_words:
        result.append("Too few words a group: shuffling them can never be significant at 5 %; use at least 4 a group.")
    elif report.valid and report.underpowered:
        result.append("Underpowered: a difference of 10 % in one layer can be missed; see what would have been found.")
    result += [INTERVALS, NOT_SHOWN]
    return result


def document(report: CounterfactualReport) -> dict[str, Any]:
    """The report as plain JSON values; not-a-number becomes null."""
    return {
        "attribute": report.attribute,
        "groups": list(report.groups_named),
        "valid": report.valid,
        "underpowered": report.underpowered,
        "verdicts": verdicts(report),
        "notes": notes(report),
        "templates": report.templates,
        "templates_same_length": report.templates_same_length,
        "wordings": report.wordings,
        "swaps": report.swaps,
        "neutral_swaps": report.neutral_swaps,
        "permutations": report.permutations,
        "layers": json_rows(report.routing),
        "layers_same_length": json_rows(report.same_length),
        "measures": json_rows(report.other),
        "by_group": json_rows(report.groups),
        "swapped_words": json_rows(report.swapped),
        "self_tests": _tests(report.tests),
    }


def _tests(tests: SelfTests) -> dict[str, Any]:
    found = {"planted_found": tests.planted_found, "gross_found": tests.gross_found}
    return {**asdict(tests), "quiet": tests.quiet, **found}

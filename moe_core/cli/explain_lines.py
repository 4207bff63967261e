"""An explanation and a replay as lines for people."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moe_core.explain.decision import BudgetFlip, Contribution, DecisionExplanation, Flip
    from moe_core.explain.replay import ReplayReport

LARGEST = 5


def explanation_lines(told: "DecisionExplanation") -> list[str]:
    """What ran, the margin, its largest parts, what turns it."""
    from moe_core.explain.decision import CONSTANTS

    own = told.experts[told.expert_id]
    against = "its threshold" if told.rule == "threshold" else f"expert {told.rival_id}"
    ran = ", ".join(f"{e.expert_id} ({e.margin:+.3f})" for e in sorted(told.experts, key=lambda e: -e.margin) if e.runs)
    moving = [c for c in told.contributions if c.kind not in CONSTANTS]
    rest = sum(c.contribution for c in moving[LARGEST:])
    constants = sum(c.contribution for c in told.contributions if c.kind in CONSTANTS)
    return [
        f"token {told.position} {told.token!r}, layer {told.layer}: {sum(e.runs for e in told.experts)} of "
        f"{len(told.experts)} experts ran: {ran}",
        f"expert {told.expert_id} {'ran' if told.runs else 'did not run'}: score {own.score:.4f} against "
        f"{own.threshold:.4f} of {against}, margin {told.margin:+.4f}",
        f"its {LARGEST} largest parts of the margin (norms and gates frozen), and the decision without each:",
        *(f"  {c.contribution:+.4f}  {name(c, told.token)}: {_without(c, told.runs)}" for c in moving[:LARGEST]),
        f"  {rest:+.4f}  the {max(0, len(moving) - LARGEST)} other components",
        f"  {constants:+.4f}  constants: biases, norms{', threshold' if told.rule == 'threshold' else ''}",
        f"they add up to the margin with an error of {told.completeness_error:.1e} of the range of the scores",
        f"smallest change that turns it: {_flip(told.flip)}",
        f"budget that turns it: {_budget(told.budget_flip, told.rule)}",
        f"in bfloat16: {'the same decision' if told.stable_in_bf16 else 'the other decision'}",
        *told.notes,
    ]


def name(part: "Contribution", token: str) -> str:
    """A component in words."""
    if part.kind == "word":
        return f"the word piece {token!r} itself"
    if part.kind == "position":
        return "its place in the text"
    return f"{'attention head' if part.kind == 'head' else part.kind} {part.index} of layer {part.layer}"


def _without(part: "Contribution", runs: bool) -> str:
    if part.margin_without is None:
        return "a constant"
    turned = "the same" if part.runs_without == runs else "TURNS"
    return f"{turned} without it (margin {part.margin_without:+.4f})"


def _flip(flip: "Flip") -> str:
    if flip.distance is None or flip.relative is None:
        return flip.reason or "none"
    return f"{flip.distance:.4f} of the router's input, {flip.relative:.2%} of its length"


def _budget(flip: "BudgetFlip", rule: str) -> str:
    moved = "the number of experts" if rule == "top-k" else "this router's threshold"
    alone = f"{flip.budget:.4f} where only {moved} moves" if flip.budget is not None else f"none by {moved} alone"
    if not flip.rerun_grid:
        return alone
    again = "none" if flip.rerun_budget is None else f"{flip.rerun_budget:.4f}"
    return f"{alone}; {again} run again (nearest found on {flip.rerun_grid} budgets)"


def replay_lines(report: "ReplayReport") -> list[str]:
    """The verdict, what is not as it was, the first differences."""
    verdict = (
        f"the same {report.n_decisions:,} decisions, bit for bit" if report.same
        else f"{report.n_differ:,} of {report.n_decisions:,} decisions differ: {report.n_choices:,} in who ran or is "
        f"recorded, {report.n_values:,} in numbers only"
    )  # fmt: skip
    shown: Sequence[str] = [
        f"  token {d.position}, layer {d.layer}, expert {d.expert_id}: {d.what}"
        + ("" if d.logged is None else f" {d.logged:g} in the log, {d.now:g} now (in steps of the log)")
        for d in report.differences
    ]
    return [f"request {report.request_id}: {verdict}", *(f"not as then: {s}" for s in report.around), *shown]

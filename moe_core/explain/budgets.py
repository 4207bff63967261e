"""The budget at which a decision turns: with this router's threshold alone moved, and truly, by running again.

Alone: the score stays, the expert's threshold is the common one times its factor, so it turns where the common one is
score / factor, and the dial says at which budget that is. Truly: earlier layers have thresholds of the same dial, so
another budget also changes what reaches this router; that is only known by running again.
"""

from dataclasses import replace

import numpy as np

from moe_core.explain.components import Array
from moe_core.explain.decision import BudgetFlip
from moe_core.explain.reference_components import run_layers
from moe_core.explain.rules import Rule, ThresholdRule, TopKRule
from moe_core.model.calibration import Calibration
from moe_core.model.session import Session
from moe_core.model.split import expert_layers

GRID = 16
HALVINGS = 7


def budget_of(calibration: Calibration, tau: float) -> float | None:
    """The budget whose common threshold is `tau`: `Calibration.tau` the other way round. None outside the range."""
    taus, budgets = [p.tau for p in calibration.points], [p.budget for p in calibration.points]
    if not taus[-1] <= tau <= taus[0]:
        return None
    return float(np.interp(tau, taus[::-1], budgets[::-1]))


def flip_alone(session: Session, rule: Rule, logits_E: Array, layer: int, expert: int) -> BudgetFlip:
    """The budget at which the decision turns if nothing but this router's own threshold moves."""
    model = session.model
    compared = rule.compare(logits_E[None])
    score, runs = float(compared.scores_NE[0, expert]), bool(compared.runs_NE[0, expert])
    if isinstance(rule, TopKRule):
        rank = rule.order(logits_E).index(expert) + 1 if rule.available_E[expert] else 0
        k = rank - 1 if runs else rank
        return BudgetFlip(budget=k / len(logits_E) if k else None, threshold=None)
    factor_E = np.exp(expert_layers(model.adapted)[layer].router.threshold_offset_E.numpy().astype(np.float64))
    tau = score / factor_E[expert]
    budget = budget_of(model.calibration, float(tau)) if rule.available_E[expert] else None
    if budget is not None:
        at = tau * (1 + 1e-9 if runs else 1 - 1e-9)
        moved = ThresholdRule(at * factor_E, rule.available_E).compare(logits_E[None])
        if bool(moved.runs_NE[0, expert]) == runs:  # it would be the floor
            budget = None
    return BudgetFlip(budget=budget, threshold=None if budget is None else score)


def runs_at(session: Session, ids: list[int], budget: float, position: int, layer: int, expert: int) -> bool:
    """Whether the expert runs where the text is run again at another budget, everything else kept."""
    model = session.model
    other = model.session(replace(session.setting, budget=budget, thresholds_L=None))
    routing = run_layers(model, other, ids, layer + 1).routings[layer]
    return bool(routing.gates_TE[position, expert] > 0)


def flip_by_rerun(
    session: Session, ids: list[int], position: int, layer: int, expert: int, *, runs: bool, alone: BudgetFlip
) -> BudgetFlip:
    """`alone` with the nearest budget at which the text, run again, decides otherwise; a grid, then halving."""
    model, own = session.model, session.setting.budget
    if session.setting.thresholds_L is not None:
        return alone  # its thresholds are those of no budget
    n_experts = model.config.n_experts
    if session.setting.mode == "topk":
        grid = [k / n_experts for k in range(1, n_experts)]
    else:
        low = model.calibration.smallest_budget
        grid = [low + (1 - low) * i / (GRID - 1) for i in range(GRID)]
    reached: dict[int, tuple[float, float]] = {}
    for side in (-1, 1):
        before = own
        for budget in sorted((b for b in grid if (b - own) * side > 1e-9), key=lambda b: abs(b - own)):
            if any(abs(turned - own) <= abs(before - own) for _, turned in reached.values()):
                break
            if runs_at(session, ids, budget, position, layer, expert) != runs:
                reached[side] = (before, budget)
                break
            before = budget
    found = []
    for kept, turned in reached.values():
        for _ in range(0 if session.setting.mode == "topk" else HALVINGS):
            middle = (kept + turned) / 2
            if runs_at(session, ids, middle, position, layer, expert) != runs:
                turned = middle
            else:
                kept = middle
        found.append(turned)
    nearest = min(found, key=lambda b: abs(b - own), default=None)
    return replace(alone, rerun_budget=nearest, rerun_grid=len(grid))

"""Explanations of one decision, made by hand or drawn at random: what a paragraph and a page are tested with."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from moe_core.explain.decision import (
    BudgetFlip,
    Contribution,
    DecisionExplanation,
    ExpertMargin,
    Flip,
)


def explanation(**changes: object) -> DecisionExplanation:
    """Expert 1 of 2 runs for “parcel” in layer 1: score .42 against .31; without one head it stops."""
    values: dict[str, object] = {
        "request_id": "run-1.1", "position": 2, "layer": 1, "token": "parcel", "rule": "threshold", "expert_id": 1,
        "rival_id": 0, "runs": True, "margin": 0.11, "log_margin": 0.3,
        "experts": (
            ExpertMargin(expert_id=0, logit=1.0, score=1.0, threshold=0.31, margin=0.69, log_margin=1.17, runs=True,
                         gate_weight=1.0, bf16_runs=True),
            ExpertMargin(expert_id=1, logit=0.1, score=0.42, threshold=0.31, margin=0.11, log_margin=0.3, runs=True,
                         gate_weight=1.0, bf16_runs=True),
        ),
        "contributions": (
            Contribution(kind="head", layer=1, index=3, contribution=0.2, log_contribution=0.54, margin_without=-0.07,
                         runs_without=False),
            Contribution(kind="threshold", layer=None, index=None, contribution=-0.15, log_contribution=-0.4),
            Contribution(kind="word", layer=None, index=None, contribution=0.06, log_contribution=0.16,
                         margin_without=0.02, runs_without=True),
        ),
        "completeness_error": 1e-7,
        "flip": Flip(distance=0.5, relative=0.034, closed_form=False, residual=1e-9),
        "budget_flip": BudgetFlip(budget=0.42, threshold=0.45),
        "stable_in_bf16": True,
    }  # fmt: skip
    return DecisionExplanation(**{**values, **changes})  # type: ignore[arg-type]


numbers = st.integers(-3000, 3000).map(lambda n: n / 1000)
unhurried = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def explanations(draw: st.DrawFn) -> DecisionExplanation:
    """Any explanation: its parts need not fit together, since the paragraph must follow each of them."""
    runs = draw(st.booleans())
    margin = draw(numbers)
    expert = ExpertMargin(expert_id=7, logit=draw(numbers), score=draw(numbers), threshold=draw(numbers), margin=margin,
                          log_margin=margin, runs=runs, gate_weight=1.0, bf16_runs=True)  # fmt: skip
    kinds = st.sampled_from(["word", "position", "head", "expert", "shared expert", "dense block", "norm", "bias"])
    parts = []
    for kind in draw(st.lists(kinds, max_size=5)):
        layer = None if kind in ("word", "position") else draw(st.integers(0, 5))
        removed = draw(st.one_of(st.none(), st.booleans())) if kind not in ("norm", "bias") else None
        parts.append(
            Contribution(kind=kind, layer=layer, index=draw(st.integers(0, 15)), contribution=draw(numbers),
                         log_contribution=0.0, margin_without=None if removed is None else draw(numbers),
                         runs_without=removed)
        )  # fmt: skip
    relative = draw(st.one_of(st.none(), st.floats(0.0001, 0.9)))
    budget = draw(st.one_of(st.none(), st.floats(0.1, 1)))
    return explanation(
        token=draw(st.text(max_size=8)), runs=runs, margin=margin, expert_id=7, experts=(expert,),
        rule=draw(st.sampled_from(["threshold", "top-k"])), contributions=tuple(parts),
        flip=Flip(distance=relative, relative=relative, closed_form=True, reason=None if relative else "none"),
        budget_flip=BudgetFlip(budget=budget, threshold=budget), stable_in_bf16=draw(st.booleans()),
    )  # fmt: skip

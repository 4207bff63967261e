"""What an explanation of one decision says: plain numbers, no torch, so that pages and the command line can show it.

A decision is: does expert `expert_id` run for the token at `position` in `layer`? Its margin is score minus threshold
(threshold routers) or score minus the first loser's score (top-k). `log_margin` is the same comparison of logarithms:
it has the margin's sign, and contributions to it add up because logits are sums. A contribution in margin units is the
one in log units times the logarithmic mean of score and threshold, which keeps the sum exact.
"""

from dataclasses import dataclass, field
from typing import Literal

# What a component of the router's input is. "norm": beta of a norm; "bias": biases of attention output, of experts and
# of the router; "threshold": the threshold itself; "cap": what the cut of a score at 1 takes from the strongest
# expert's lead over its rival. The last four are constants: nothing of the text is in them.
Kind = Literal["word", "position", "head", "expert", "shared expert", "dense block", "norm", "bias", "threshold", "cap"]
CONSTANTS: frozenset[Kind] = frozenset({"norm", "bias", "threshold", "cap"})
LARGEST_ERROR = 1e-4  # of the range of the layer's scores: above it nothing is explained
Method = Literal["exact", "direct effect, frozen norm"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertMargin:
    """One expert of the layer for this token. `threshold` as compared, `runs` as decided, `gate_weight` 0 if it does
    not run; `bf16_runs`: whether it runs where the router's input and weights are rounded to bfloat16."""

    expert_id: int
    logit: float
    score: float
    threshold: float
    margin: float
    log_margin: float
    runs: bool
    gate_weight: float
    bf16_runs: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Contribution:
    """One component's share of the margin with all norms frozen, and what happens to the decision without it.

    `layer`, `index`: where it comes from (None for embeddings and for the router's own constants). `contribution` in
    margin units, `log_contribution` in log units; `margin_without`, `runs_without`: margin and decision with the
    component removed and every norm on the way recomputed (None for constants).
    """

    kind: Kind
    layer: int | None
    index: int | None
    contribution: float
    log_contribution: float
    margin_without: float | None = None
    runs_without: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Flip:
    """The smallest change of the router's input (before its norm) that turns the decision: `distance` (L2) and as a
    share of the input's own length. `closed_form`: by formula, else solved to `residual` (relative error of the
    boundary's condition). All None if no change of that kind turns it, `reason` then says why. `leaves`, `enters`: for
    a set of k experts as a whole, which one gives way to which."""

    distance: float | None
    relative: float | None
    closed_form: bool
    residual: float | None = None
    reason: str | None = None
    leaves: int | None = None
    enters: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetFlip:
    """The budget at which the decision turns; None where none in the measured range does.

    budget, threshold: with this router's threshold alone moved (closed form; `threshold` is the expert's own). For
    top-k runs: the number of experts, as a budget. rerun_budget: nearest budget at which the text, run again from the
    start, decides otherwise: earlier layers move too. It was looked for on `rerun_grid` budgets and by halving the
    nearest step; None where none of them turns it, or where rerun_grid is 0: not looked for.
    """

    budget: float | None
    threshold: float | None
    rerun_budget: float | None = None
    rerun_grid: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionExplanation:
    """Why expert `expert_id` runs, or does not, for one token in one layer. `rival_id`: the expert it is compared with.

    contributions: largest absolute value first; their sum is `margin` up to `completeness_error` x the range of the
    layer's scores. `direct` is said of the contributions: later heads and experts are held as they were.
    """

    request_id: str | None
    position: int
    layer: int
    token: str
    rule: Literal["threshold", "top-k"]
    expert_id: int
    rival_id: int
    runs: bool
    margin: float
    log_margin: float
    experts: tuple[ExpertMargin, ...]
    contributions: tuple[Contribution, ...]
    completeness_error: float
    flip: Flip
    budget_flip: BudgetFlip
    stable_in_bf16: bool
    method: Method = "exact"
    flip_hidden: Flip | None = None  # the same among the router's hidden values and among its logits: maps that are
    flip_logits: Flip | None = None  # linear, so by formula (or the nearest point of a polyhedron)
    notes: tuple[str, ...] = field(default=())

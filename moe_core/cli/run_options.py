"""The options that say how `infer` and `embed` run the model, turned into one plan, conflicts refused."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moe_core.errors import InputError

if TYPE_CHECKING:
    from moe_core.log.unrecorded import WhenFull
    from moe_core.model.loss_bound import BudgetChoice
    from moe_core.model.policy import Escalation, Policy
    from moe_core.model.reference import RoutedModel
    from moe_core.model.requests import Setting

AUTO = "auto"
DEFAULT_BUDGET = 0.5
ModeOption = Annotated[
    str | None,
    typer.Option("--mode", help="adaptive, dense (the untouched original) or topk.", show_default="adaptive"),
]
TruncateFlag = Annotated[bool, typer.Option("--truncate", help="Cut texts longer than the model reads.")]
PolicyOption = Annotated[
    Path | None, typer.Option("--policy", help="policy.toml to follow, in place of --budget, --mode and the like.")
]
WithoutOption = Annotated[
    list[str] | None, typer.Option("--without", help="LAYER:EXPERT that must not run; repeatable.")
]
EscalateOption = Annotated[
    float | None,
    typer.Option("--escalate-below", help="Run again, dense, what leads the next label by less than this."),
]
WhenFullOption = Annotated[
    str,
    typer.Option(
        "--when-log-is-full",
        metavar="wait|incomplete",
        help="wait: answers wait for the disk. incomplete: they do not; what does not fit in the queue of the log is "
        "not recorded, and the run is marked as incomplete.",
    ),
]
MaxLossOption = Annotated[
    float | None,
    typer.Option("--max-loss", help="With --budget auto: points of accuracy to lose at most.", show_default="0.5"),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPlan:
    """How to run: the setting, what is run again, what goes into the run's `config`, what chose the budget."""

    setting: "Setting"
    escalation: "Escalation | None" = None
    choice: "BudgetChoice | None" = None
    config: Mapping[str, Any] = field(default_factory=dict)


def policy_of(path: Path | None, rivals: Mapping[str, object], head: str | None = None) -> "Policy | None":
    """The policy that --policy names; None without it. `rivals`: options that it replaces, None where not given."""
    if path is None:
        return None
    from moe_core.model.policy import read_policy

    given = [name for name, value in rivals.items() if value not in (None, [])]
    if given:
        raise InputError(f"--policy says how to run and {' and '.join(given)} too: give one of them.")
    policy = read_policy(path)
    if head is not None and policy.head is not None and head != policy.head:
        raise InputError(f"--head {head} is given, but {path} names the head {policy.head!r}: give one of them.")
    return policy


def when_full(wanted: str, no_log: bool) -> "WhenFull":
    """What --when-log-is-full says."""
    from moe_core.log.unrecorded import WHEN_FULL

    known = next((each for each in WHEN_FULL if each == wanted), None)
    if known is None:
        raise InputError(f"--when-log-is-full {wanted} is unknown: use one of {', '.join(WHEN_FULL)}.")
    if no_log and known != "wait":
        raise InputError(f"--no-log records nothing, but --when-log-is-full {wanted} is given: leave one of them out.")
    return known


def plan_of_policy(
    routed: "RoutedModel", policy: "Policy", *, head: str | None, without: Sequence[str] | None, truncate: bool
) -> RunPlan:
    """The plan of a policy; experts in `without` are lost besides those that the policy names."""
    from dataclasses import replace

    from moe_core.model.lost_experts import parse_expert
    from moe_core.model.policy import check_policy, policy_toml

    check_policy(policy, routed)
    lost = [parse_expert(name) for name in without or ()]
    setting = policy.setting(head=head, truncate=truncate)
    unavailable = (*setting.unavailable, *(expert for expert in lost if expert not in setting.unavailable))
    config: dict[str, Any] = {"policy": policy_toml(policy)}
    if policy.escalation is not None:
        config["escalation"] = asdict(policy.escalation)
    return RunPlan(setting=replace(setting, unavailable=unavailable), escalation=policy.escalation, config=config)


def plan_of_options(
    routed: "RoutedModel", *, mode: str | None, budget: str | None, max_loss: float | None, head: str | None,
    without: Sequence[str] | None, escalate_below: float | None, truncate: bool,
) -> RunPlan:  # fmt: skip
    """The plan of single options; those not given are None."""
    from moe_core.model.loss_bound import DEFAULT_MAX_LOSS, auto_budget
    from moe_core.model.lost_experts import parse_expert
    from moe_core.model.policy import Escalation
    from moe_core.model.requests import Setting
    from moe_core.model.router import MODES

    wanted = next((each for each in MODES if each == (mode or "adaptive")), None)
    if wanted is None:
        raise InputError(f"Mode {mode!r} is unknown: use one of {', '.join(MODES)}.")
    choice, config = None, {}
    if budget is not None and budget.strip().lower() == AUTO:
        bound = DEFAULT_MAX_LOSS if max_loss is None else max_loss
        choice = auto_budget(routed, head=head, max_loss=bound, mode=wanted)
        config["budget_choice"] = asdict(choice)
    elif max_loss is not None:
        raise InputError("--max-loss bounds what --budget auto may choose: add --budget auto or leave it out.")
    rule = None if escalate_below is None else Escalation(margin_below=escalate_below)
    if rule is not None:
        config["escalation"] = asdict(rule)
    setting = Setting(
        mode=wanted,
        budget=_number(budget) if choice is None else choice.budget,
        head=head,
        truncate=truncate,
        unavailable=tuple(parse_expert(name) for name in without or ()),
    )
    return RunPlan(setting=setting, escalation=rule, choice=choice, config=config)


def _number(budget: str | None) -> float:
    if budget is None:
        return DEFAULT_BUDGET
    try:
        return float(budget)
    except ValueError as error:
        raise InputError(
            f"Budget {budget!r} is not a number: give a share of the expert compute above 0 and up to 1, or auto."
        ) from error

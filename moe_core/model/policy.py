"""policy.toml: one file that says how requests are answered, written by the tuning page, read by `routelens infer`.

    format = 1
    model = "routelens-reference"     # optional, for people
    model_sha256 = "..."              # optional: the policy was made for this model and no other
    head = "sentiment"                # optional: the classifier that answers
    budget = 0.35                     # the dial; or
    thresholds = [0.12, 0.12]         # one common threshold per layer, 0 to 0.97; 0 runs every expert; used instead
    unavailable = ["2:5"]             # layer:expert that must not run
    [escalation]                      # optional: which requests are run again, and how
    margin_below = 0.2                # run again if the label's lead over the next one is smaller
    important = "vip"                 # optional: run again if this attribute of the request is 1, true or yes
    mode = "dense"                    # or "adaptive" with
    budget = 1.0

An unknown key or a value of the wrong kind is an error that names the file.
"""

import difflib
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moe_core.errors import InputError
from moe_core.model.calibration import check_budget
from moe_core.model.lost_experts import Expert, check_no_repeats, check_unavailable, expert_name, parse_expert
from moe_core.model.requests import Setting
from moe_core.model.router import Mode

if TYPE_CHECKING:
    from moe_core.model.reference import RoutedModel

FORMAT_VERSION = 1
MAX_THRESHOLD = 0.97  # the largest common threshold that calibration measures
ESCALATION_MODES: tuple[Mode, ...] = ("dense", "adaptive")
MAX_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Escalation:
    """Which requests are run again and how: those whose first answer leads by less than `margin_below` (probability
    of the label minus that of the next one), and those whose attribute `important` is 1, true or yes.

    Raises InputError for a value out of range.
    """

    margin_below: float = 0.0
    important: str | None = None
    mode: Mode = "dense"
    budget: float = 1.0

    def __post_init__(self) -> None:
        if not _is_number(self.margin_below) or not 0 <= self.margin_below <= 1:
            raise InputError(f"margin_below is {self.margin_below!r}: give a difference of probabilities, 0 to 1.")
        if self.important is not None and (not isinstance(self.important, str) or not self.important):
            raise InputError(f"important is {self.important!r}: give the name of an attribute.")
        if self.mode not in ESCALATION_MODES:
            raise InputError(f"Escalation mode {self.mode!r} is unknown: use one of {', '.join(ESCALATION_MODES)}.")
        check_budget(self.budget)
        if self.mode == "dense" and self.budget != 1:
            raise InputError(f"Escalation to the dense original has no budget, but {self.budget!r} is given: drop it.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What a policy file says. Raises InputError for a value that no model could follow."""

    budget: float | None = None
    thresholds_L: tuple[float, ...] | None = None
    unavailable: tuple[Expert, ...] = ()
    escalation: Escalation | None = None
    head: str | None = None
    model: str | None = None
    model_sha256: str | None = None

    def __post_init__(self) -> None:
        if self.budget is None and self.thresholds_L is None:
            raise InputError("There is neither a budget nor thresholds: give one of them.")
        if self.budget is not None:
            check_budget(self.budget)
        if self.thresholds_L is not None:
            check_thresholds(self.thresholds_L)
        check_no_repeats(self.unavailable)

    def setting(self, *, head: str | None = None, truncate: bool = False, keep_traces: bool = False) -> Setting:
        """The setting of the first run; `head` answers where the policy names none."""
        return Setting(
            mode="adaptive",
            budget=1.0 if self.budget is None else self.budget,
            head=head if self.head is None else self.head,
            truncate=truncate,
            keep_traces=keep_traces,
            thresholds_L=self.thresholds_L,
            unavailable=self.unavailable,
        )


def check_thresholds(thresholds_L: Sequence[float], n_layers: int | None = None) -> None:
    """Raises InputError unless every layer's common threshold lies in 0 to 0.97 and there are `n_layers` of them."""
    for layer, tau in enumerate(thresholds_L):
        if not _is_number(tau) or not 0 <= tau <= MAX_THRESHOLD:
            raise InputError(
                f"The threshold of layer {layer} is {tau!r}: give a number from 0 (every expert runs) to "
                f"{MAX_THRESHOLD:g}."
            )
    if not thresholds_L or (n_layers is not None and len(thresholds_L) != n_layers):
        wanted = "at least one layer" if n_layers is None else f"{n_layers} layers"
        raise InputError(f"There are {len(thresholds_L)} thresholds for {wanted}: give one for each layer.")


def check_policy(policy: Policy, model: "RoutedModel") -> None:
    """Raises InputError if `model` cannot follow the policy: made for another model, no such head, layer, expert or
    budget."""
    sizes = model.config
    if policy.model_sha256 is not None and policy.model_sha256 != model.sha256:
        raise InputError(
            f"The policy was made for the model {policy.model_sha256[:12]}..., this one is {model.sha256[:12]}...: "
            "give the right --model, or make the policy again."
        )
    if policy.head is not None:
        model.head(policy.head)
    if policy.thresholds_L is not None:
        check_thresholds(policy.thresholds_L, sizes.n_layers)
    elif policy.budget is not None:
        model.calibration.tau(policy.budget)
    check_unavailable(policy.unavailable, sizes.n_layers, sizes.n_experts)
    if policy.escalation is not None and policy.escalation.mode == "adaptive":
        model.calibration.tau(policy.escalation.budget)


def read_policy(path: Path) -> Policy:
    """Reads policy.toml. Raises InputError, naming the file, for anything that is not a policy."""
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise InputError(f"Policy {path} is larger than {MAX_BYTES:,} bytes: give a policy.toml.")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"There is no policy file {path}: check the path.") from error
    except OSError as error:
        raise InputError(f"Policy {path} cannot be read ({error.strerror}): give a readable file.") from error
    return parse_policy(content, name=str(path))


def parse_policy(content: bytes, *, name: str = "policy.toml") -> Policy:
    """The policy in the bytes of a file called `name`. Raises InputError for anything that is not one."""
    try:
        raw = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"Policy {name}: byte {error.start} is not UTF-8: save the file as UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"Policy {name} is not valid TOML ({error}): mend the file or export it again.") from error
    try:
        return _policy(raw)
    except InputError as error:
        raise InputError(f"Policy {name}: {error}") from error


def policy_toml(policy: Policy) -> str:
    """The policy as a file that `read_policy` reads back to an equal one."""
    lines = [f"format = {FORMAT_VERSION}"]
    for key, text in (("model", policy.model), ("model_sha256", policy.model_sha256), ("head", policy.head)):
        if text is not None:
            lines.append(f"{key} = {_quoted(text)}")
    if policy.budget is not None:
        lines.append(f"budget = {float(policy.budget)!r}")
    if policy.thresholds_L is not None:
        lines.append(f"thresholds = [{', '.join(repr(float(tau)) for tau in policy.thresholds_L)}]")
    if policy.unavailable:
        lines.append(f"unavailable = [{', '.join(_quoted(expert_name(expert)) for expert in policy.unavailable)}]")
    if policy.escalation is not None:
        rule = policy.escalation
        lines += ["", "[escalation]", f"margin_below = {float(rule.margin_below)!r}"]
        if rule.important is not None:
            lines.append(f"important = {_quoted(rule.important)}")
        lines += [f"mode = {_quoted(rule.mode)}", f"budget = {float(rule.budget)!r}"]
    return "\n".join(lines) + "\n"


def _policy(raw: Mapping[str, Any]) -> Policy:
    _refuse_unknown(
        raw, ("format", "model", "model_sha256", "head", "budget", "thresholds", "unavailable", "escalation")
    )
    if raw.get("format") != FORMAT_VERSION or isinstance(raw.get("format"), bool):
        raise InputError(f"format is {raw.get('format')!r}, this version reads {FORMAT_VERSION}: write `format = 1`.")
    thresholds = _list(raw, "thresholds")
    return Policy(
        budget=_number(raw, "budget"),
        thresholds_L=None if thresholds is None else tuple(_as_float(tau) for tau in thresholds),
        unavailable=tuple(parse_expert(name) for name in _list(raw, "unavailable") or ()),
        escalation=_escalation(raw["escalation"]) if "escalation" in raw else None,
        head=_text(raw, "head"),
        model=_text(raw, "model"),
        model_sha256=_text(raw, "model_sha256"),
    )


def _escalation(raw: Any) -> Escalation:
    if not isinstance(raw, dict):
        raise InputError(f"escalation is {raw!r}: write a table [escalation].")
    _refuse_unknown(raw, ("margin_below", "important", "mode", "budget"))
    if "margin_below" not in raw and "important" not in raw:
        raise InputError("[escalation] names no request to run again: give margin_below, important or both.")
    margin_below, budget = _number(raw, "margin_below"), _number(raw, "budget")
    return Escalation(
        margin_below=0.0 if margin_below is None else margin_below,
        important=_text(raw, "important"),
        mode=raw.get("mode", "dense"),
        budget=1.0 if budget is None else budget,
    )


def _refuse_unknown(raw: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in raw:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(known)}."
            raise InputError(f"Key {key!r} is unknown: {hint}")


def _number(raw: Mapping[str, Any], key: str) -> float | None:
    if key not in raw:
        return None
    if not _is_number(raw[key]):
        raise InputError(f"{key} is {raw[key]!r}: give a number.")
    return float(raw[key])


def _as_float(value: Any) -> Any:
    """Whole numbers as floats; what is no number is left for `check_thresholds` to name."""
    return float(value) if _is_number(value) else value


def _list(raw: Mapping[str, Any], key: str) -> list[Any] | None:
    value = raw.get(key)
    if value is not None and not isinstance(value, list):
        raise InputError(f"{key} is {value!r}: give a list in brackets.")
    return value


def _text(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    if value is not None and not isinstance(value, str):
        raise InputError(f"{key} is {value!r}: give a text in quotes.")
    return value


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < 1e300 and math.isfinite(value)


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes, and DEL, which JSON leaves as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

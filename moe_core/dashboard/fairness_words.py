"""The names that an audit uses in its results, in words and in the visitor's language.

Names of groups and columns come from the log: they are foreign text and stay as they are.
"""

import re
from collections.abc import Collection
from dataclasses import replace

from moe_core.analysis.audit.contrasts import ALL_OTHERS
from moe_core.analysis.message import N_, Message, Param
from moe_core.dashboard.i18n import Translate

METRICS: dict[str, str] = {
    "tokens_per_character": N_("tokens per character"),
    "experts_per_token": N_("experts per token"),
    "experts_per_character": N_("experts per character"),
    "flops_per_token": N_("FLOPs per token"),
    "flops_per_character": N_("FLOPs per character"),
    "flops_share_of_dense": N_("FLOPs against the dense original"),
    "latency_ms": N_("latency in ms"),
    "selection_rate": N_("rate of favourable answers"),
    "true_positive_rate": N_("true positive rate"),
    "false_positive_rate": N_("false positive rate"),
    "base_rate": N_("base rate"),
    "calibration_gap": N_("calibration gap"),
    "demographic_parity_difference": N_("demographic parity difference"),
    "demographic_parity_ratio": N_("demographic parity ratio"),
    "equalized_odds_difference": N_("equalised odds difference"),
}
COLUMNS: dict[str, str] = {
    "request": N_("request"),
    "document": N_("document"),
    "length": N_("text length"),
    "frequency": N_("word frequency"),
    "label": N_("answer"),
    "reference_label": N_("right answer"),
    "domain": N_("domain"),
    "score": N_("score of the answer"),
    "actor": N_("actor"),
    "mode": N_("mode"),
    "budget": N_("budget"),
}
RULES: dict[str, str] = {"below": N_("below"), "not below": N_("not below"), "uncertain": N_("uncertain")}
FLAGS: dict[str, str] = {
    "--group": N_("the group column"),
    "--outcome": N_("the outcome"),
    "--favourable": N_("the favourable value"),
    "--strata": N_("the strata"),
    "--unit": N_("the unit"),
}


def metric(name: str, t: Translate) -> str:
    """A measure in words; an unknown one as it is."""
    return t(METRICS[name]) if name in METRICS else name


def column(name: str, t: Translate, attributes: Collection[str] = ()) -> str:
    """A column that RouteLens knows, in words; one of the attributes as it is, even if its name is the same."""
    return t(COLUMNS[name]) if name in COLUMNS and name not in attributes else name


def group(name: object, t: Translate) -> str:
    """A group's name as it is; what stands for all the others, in words."""
    return t(N_("all others")) if name == ALL_OTHERS else str(name)


def message(found: Message, t: Translate) -> str:
    """A sentence of the audit with the names in it put into words. Foreign text may be in it: show it as text."""
    params = {key: _param(key, value, t) for key, value in found.params.items()}
    return _without_flags(replace(found, params=params).text(t), t)


def error(text: str, t: Translate) -> str:
    """An error of the audit, which names the command line's options, in the words of the form."""
    return _without_flags(text, t)


class _Readable(float):
    """A large number that is written with M or k, whatever format is asked for."""

    def __format__(self, spec: str) -> str:
        return digits(self)


def digits(value: float) -> str:
    """A number of any size to read: 1.23 M; 12.3 k; 234.5; 0.1234; an em dash where it is not known."""
    if value is None or value != value:
        return "—"
    if abs(value) >= 1e4:
        value = float(value)  # not a _Readable: it would format itself
        return f"{value / 1e6:,.2f} M" if abs(value) >= 1e6 else f"{value / 1e3:,.1f} k"
    return f"{float(value):,.1f}" if abs(value) >= 100 else f"{float(value):.4g}"


def _param(key: str, value: Param, t: Translate) -> Param:
    if isinstance(value, float) and abs(value) >= 1e4:
        return _Readable(value)
    if not isinstance(value, str):
        return value
    if key == "metric":
        return metric(value, t)
    return column(value, t) if key == "unit" else group(value, t)


def _without_flags(text: str, t: Translate) -> str:
    """Our own options only, as whole words; the names of groups and columns stand in the text as they are."""
    return re.sub("|".join(rf"(?<!\S){flag}(?![\w-])" for flag in FLAGS), lambda m: t(FLAGS[m.group()]), text)

"""One text and its edited twin through the model, with neutral swaps beside them. Nothing is recorded.

The caller holds the inference lock of the process.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from moe_core.analysis.counterfactual.alignment import edits
from moe_core.analysis.counterfactual.changes import RoutedText, TextChange, changed_decisions, compare
from moe_core.analysis.counterfactual.neutral import (
    against_neutral,
    given_words,
    neutral_texts,
    proposed_words,
    replaced,
)
from moe_core.analysis.counterfactual.templates import Wordings, parse_templates
from moe_core.dashboard.context import ROOT
from moe_core.errors import InputError
from moe_core.evaluation.counterfactual import MOST_UNKNOWN, routed_texts
from moe_core.model.reference import RoutedModel

TEMPLATES = ROOT / "data" / "counterfactuals" / "en.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class LabResult:
    """What the lab shows. layers: see `against_neutral`; decisions: see `changed_decisions`; neutral: one change per
    neutral word, proposed: whether the words came from the shipped lists."""

    change: TextChange
    layers: pd.DataFrame
    decisions: pd.DataFrame
    neutral_words: tuple[str, ...]
    neutral: tuple[TextChange, ...]
    proposed: bool
    head: str
    budget: float

    @property
    def before(self) -> RoutedText:
        return self.change.before

    @property
    def after(self) -> RoutedText:
        return self.change.after

    @property
    def neutral_share(self) -> float | None:
        """Mean share of changed choices of the neutral swaps; None without any."""
        shares = [each.share for each in self.neutral if each.changed_LP.size]
        return sum(shares) / len(shares) if shares else None

    @property
    def neutral_range(self) -> tuple[float, float]:
        shares = [each.share for each in self.neutral if each.changed_LP.size]
        return min(shares), max(shares)

    @property
    def unreadable(self) -> float | None:
        """Share of tokens that the model has no word for, if it is large enough to spoil the comparison."""
        unknown = max(each.unknown / each.n_tokens for each in (self.before, self.after))
        return unknown if unknown > MOST_UNKNOWN else None


def run_lab(
    model: RoutedModel, before: str, after: str, *, neutral: str, budget: float, head: str
) -> LabResult:
    """Compares two texts. `neutral`: words between commas; if empty, words of the shipped lists where they fit.

    Raises InputError for equal texts, texts without a common word, or what the model cannot read.
    """
    if before.strip() and before.strip() == after.strip():
        raise InputError("Both texts are the same: change at least one word in the second one.")
    first, second = routed_texts(model, [before, after], budget=budget, head=head)
    change = compare(first, second)
    if not change.changed_LP.size:
        raise InputError("The two texts share no word, so nothing can be compared: change one word and keep the rest.")
    place = replaced(edits(before, after))
    words: Sequence[str] = ()
    if place is not None:
        words = given_words(neutral, place) if neutral.strip() else proposed_words(place, shipped_wordings())
    swaps = neutral_texts(before, place, words) if place is not None else []
    floor = tuple(compare(first, each) for each in routed_texts(model, swaps, budget=budget, head=head))
    return LabResult(
        change=change,
        layers=against_neutral(change, floor),
        decisions=changed_decisions(change),
        neutral_words=tuple(words),
        neutral=floor,
        proposed=not neutral.strip(),
        head=head,
        budget=budget,
    )


def shipped_wordings() -> list[Wordings]:
    """Word lists of the shipped English templates; none where the file is missing."""
    try:
        return parse_templates(TEMPLATES.read_text(encoding="utf-8"), TEMPLATES.name)
    except (OSError, InputError):
        return []

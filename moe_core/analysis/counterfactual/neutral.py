"""Neutral swaps for an edit of one's own: how much would another word of the same kind have changed?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from moe_core.analysis.counterfactual.alignment import Edit
from moe_core.analysis.counterfactual.changes import TextChange, layer_changes
from moe_core.analysis.counterfactual.templates import Wordings

MOST_NEUTRAL = 12
FLOOR_COLUMNS = ("layer", "tokens", "changed", "share", "neutral", "neutral_low", "neutral_high")


def replaced(edits: Sequence[Edit]) -> Edit | None:
    """The first edit that replaces words: the place where neutral words go. None if words were only added."""
    return next((edit for edit in edits if edit.old), None)


def proposed_words(edit: Edit, wordings: Sequence[Wordings]) -> list[str]:
    """Other words of the group that the replaced word belongs to in shared slots, of the longest list if there are
    several; empty if it is in none."""
    found: list[tuple[str, ...]] = []
    for each in wordings:
        if each.shared and edit.old.casefold() in (word.casefold() for word in each.words_N):
            place = [word.casefold() for word in each.words_N].index(edit.old.casefold())
            others = enumerate(zip(each.words_N, each.group_N, strict=True))
            found.append(tuple(word for i, (word, g) in others if g == each.group_N[place] and i != place))
    longest = sorted(found, key=len)[-1:]
    return [word for words in longest for word in words][:MOST_NEUTRAL]


def given_words(text: str, edit: Edit) -> list[str]:
    """Words between commas, without repeats and without the replaced word and its replacement."""
    words = [word.strip() for word in text.replace("、", ",").split(",")]
    taken = {edit.old.casefold(), edit.new.casefold(), ""}
    return [word for word in dict.fromkeys(words) if word.casefold() not in taken][:MOST_NEUTRAL]


def neutral_texts(before: str, edit: Edit, words: Sequence[str]) -> list[str]:
    """The first text with each neutral word in place of the replaced one."""
    start, end = edit.old_span
    stretch = before[start:end]
    lead = len(stretch) - len(stretch.lstrip())
    tail = len(stretch) - len(stretch.rstrip())
    return [before[: start + lead] + word + before[end - tail :] for word in words]


def against_neutral(change: TextChange, neutral: Sequence[TextChange]) -> pd.DataFrame:
    """(layer, tokens, changed, share, neutral, neutral_low, neutral_high) one row per layer: the edit beside mean,
    smallest and largest share of the neutral swaps; NaN without neutral swaps."""
    frame = layer_changes(change)
    usable = [layer_changes(each)["share"].to_numpy() for each in neutral if each.changed_LP.size]
    shares_NL = np.stack(usable) if usable else np.full((1, len(frame)), np.nan)
    frame["neutral"], frame["neutral_low"], frame["neutral_high"] = (
        shares_NL.mean(axis=0), shares_NL.min(axis=0), shares_NL.max(axis=0)
    )  # fmt: skip
    return frame[list(FLOOR_COLUMNS)]

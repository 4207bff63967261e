"""Two texts that differ in some words: which decisions and which answer changed, as frames.

Compared are the tokens that both texts share (`alignment`); the swapped words themselves are reported apart, since a
different word is of course routed differently. Shape letters: L layers, T tokens, E experts, P aligned tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_core.analysis.counterfactual.alignment import Alignment, Edit, Span, align, edits, equal_blocks

DECISION_COLUMNS = ("position_before", "position_after", "token", "layer", "expert_id", "change")
LAYER_COLUMNS = ("layer", "tokens", "changed", "share")
STARTED, STOPPED = "started", "stopped"


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutedText:
    """One answered text. spans_T: characters [start, end) of each token; executed_LTE bool: which experts ran;
    probabilities: label -> probability, empty without a head; unknown: ordinary tokens the model has no word for."""

    text: str
    pieces: tuple[str, ...]
    spans_T: tuple[Span, ...]
    is_special: tuple[bool, ...]
    executed_LTE: NDArray[np.bool_]
    label: str | None
    probabilities: Mapping[str, float]
    active_fraction: float
    flops: int
    flops_dense: int
    unknown: int = 0

    @property
    def n_tokens(self) -> int:
        return len(self.pieces)

    @property
    def score(self) -> float:
        """Probability of the given label; NaN without a head."""
        return self.probabilities.get(self.label, float("nan")) if self.label is not None else float("nan")


@dataclass(frozen=True, slots=True)
class TextChange:
    """Two answered texts side by side; changed_LP: the set of experts differs for an aligned token."""

    before: RoutedText
    after: RoutedText
    alignment: Alignment
    changed_LP: NDArray[np.bool_]

    @property
    def share(self) -> float:
        """Share of the compared (token, layer) choices that changed; NaN if no token is shared."""
        return float(self.changed_LP.mean()) if self.changed_LP.size else float("nan")

    @property
    def same_answer(self) -> bool:
        return self.before.label == self.after.label

    @property
    def edits(self) -> list[Edit]:
        return edits(self.before.text, self.after.text)


def compare(before: RoutedText, after: RoutedText) -> TextChange:
    """Aligns two texts by their characters and compares who ran for each token that both hold."""
    alignment = align(
        before.spans_T, before.is_special, after.spans_T, after.is_special, equal_blocks(before.text, after.text)
    )
    left = before.executed_LTE[:, list(alignment.left_P)]
    right = after.executed_LTE[:, list(alignment.right_P)]
    return TextChange(before, after, alignment, (left != right).any(axis=2))


def changed_decisions(change: TextChange) -> pd.DataFrame:
    """(position_before, position_after, token, layer, expert_id, change) one row per decision that went the other way:
    `started` = ran only in the second text, `stopped` = ran only in the first. Sorted by token, layer, expert."""
    left = np.asarray(change.alignment.left_P, dtype=np.int64)
    right = np.asarray(change.alignment.right_P, dtype=np.int64)
    was, now = change.before.executed_LTE[:, left], change.after.executed_LTE[:, right]
    layer, place, expert = np.nonzero(was != now)
    frame = pd.DataFrame(
        {
            "position_before": left[place],
            "position_after": right[place],
            "token": [change.before.pieces[left[i]] for i in place],
            "layer": layer,
            "expert_id": expert,
            "change": np.where(now[layer, place, expert], STARTED, STOPPED),
        },
        columns=list(DECISION_COLUMNS),
    )
    return frame.sort_values(["position_before", "layer", "expert_id"], ignore_index=True)


def layer_changes(change: TextChange) -> pd.DataFrame:
    """(layer, tokens, changed, share) one row per layer: aligned tokens, and how many run other experts than before."""
    tokens = change.changed_LP.shape[1]
    changed = change.changed_LP.sum(axis=1)
    return pd.DataFrame(
        {
            "layer": np.arange(len(changed)),
            "tokens": tokens,
            "changed": changed,
            "share": changed / tokens if tokens else np.nan,
        },
        columns=list(LAYER_COLUMNS),
    )


def experts_per_token(routed: RoutedText, positions: tuple[int, ...]) -> float:
    """Mean number of experts that ran for these tokens in a layer; NaN for no token."""
    if not positions:
        return float("nan")
    return float(routed.executed_LTE[:, list(positions)].sum(axis=2).mean())


def ordinary(routed: RoutedText) -> tuple[int, ...]:
    """Positions of the tokens that are no special tokens."""
    return tuple(position for position, special in enumerate(routed.is_special) if not special)

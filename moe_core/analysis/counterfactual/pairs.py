"""All pairs of wordings of one template as numbers: how much changes when one is put in place of the other.

Shape letters: N wordings, P = N (N - 1) / 2 pairs in the order of `numpy.triu_indices(N, 1)`, L layers, M = L + 3
measures: per layer the share of aligned tokens that run another set of experts; then whether the label changed (0 or
1), the change of the score, and the change of experts per aligned token, both without sign.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_core.analysis.counterfactual.changes import RoutedText, compare, experts_per_token, ordinary
from moe_core.analysis.counterfactual.templates import Wordings
from moe_core.errors import AuditError

OTHER_MEASURES = ("label", "score", "experts")
FILL_MEASURES = ("score", "experts", "tokens")
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class PairChanges:
    """One template. values_MP as in the module's docstring; tokens_P: aligned tokens; same_P: both wordings make
    equally many tokens; group_N: group of each wording; fills_FN: score, experts per token and tokens of each
    wording; swapped_N: experts per token at the swapped words (NaN where there is none)."""

    template: str
    group_N: NDArray[np.int64]
    values_MP: Floats
    tokens_P: NDArray[np.int64]
    same_P: NDArray[np.bool_]
    fills_FN: Floats
    swapped_N: Floats

    @property
    def n_layers(self) -> int:
        return len(self.values_MP) - len(OTHER_MEASURES)


def pair_changes(wordings: Wordings, routed: Sequence[RoutedText], label: str | None) -> PairChanges:
    """Compares all wordings of a template. routed: one answered text per wording, in order; `label`: whose probability
    is the score, None without a head. Raises AuditError where two wordings share no token."""
    n = len(routed)
    left_P, right_P = np.triu_indices(n, 1)
    n_layers = routed[0].executed_LTE.shape[0]
    values_MP = np.zeros((n_layers + len(OTHER_MEASURES), len(left_P)))
    tokens_P = np.zeros(len(left_P), dtype=np.int64)
    unaligned = [np.zeros(each.n_tokens) for each in routed]
    score_N = np.array([each.probabilities.get(label, 0.0) if label is not None else 0.0 for each in routed])
    for pair, (i, j) in enumerate(zip(left_P.tolist(), right_P.tolist(), strict=True)):
        before, after = routed[i], routed[j]
        change = compare(before, after)
        aligned = change.alignment
        if not aligned.left_P:
            raise AuditError(
                f"Template {wordings.template!r}: {wordings.words_N[i]!r} and {wordings.words_N[j]!r} share no word "
                "outside the swapped ones, so nothing can be compared: give wordings that share a sentence."
            )
        tokens_P[pair] = len(aligned.left_P)
        values_MP[:n_layers, pair] = change.changed_LP.mean(axis=1)
        values_MP[n_layers, pair] = float(not change.same_answer)
        values_MP[n_layers + 1, pair] = abs(score_N[i] - score_N[j])
        values_MP[n_layers + 2, pair] = abs(
            experts_per_token(before, aligned.left_P) - experts_per_token(after, aligned.right_P)
        )
        unaligned[i][list(aligned.swapped_left)] += 1
        unaligned[j][list(aligned.swapped_right)] += 1
    swapped = [tuple(np.flatnonzero(count > (n - 1) / 2).tolist()) for count in unaligned]
    lengths_N = np.array([len(ordinary(each)) for each in routed])
    return PairChanges(
        template=wordings.template,
        group_N=np.asarray(wordings.group_N, dtype=np.int64),
        values_MP=values_MP,
        tokens_P=tokens_P,
        same_P=lengths_N[left_P] == lengths_N[right_P],
        fills_FN=np.stack(
            [score_N, np.array([experts_per_token(each, ordinary(each)) for each in routed]), lengths_N]
        ).astype(np.float64),
        swapped_N=np.array(
            [experts_per_token(each, places) for each, places in zip(routed, swapped, strict=True)], dtype=np.float64
        ),
    )  # fmt: skip

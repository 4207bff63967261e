"""Does an expert carry a difference between groups? Answers with and without it, against experts of a similar load.

Gap = share of favourable answers in the group minus that of all others. For every masked set of experts: the change of
the gap on the same texts, and the change of quality (share of right answers), each with an interval by resampling texts
within the two sides. Masking any busy expert changes something, so a set is judged by its rank among controls: experts
of the same layer and a similar load, filled up from other layers. Shape letters: N texts, S masked sets, R resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_core.errors import AuditError

Expert = tuple[int, int]
Floats = NDArray[np.float64]
EffectFrame = pd.DataFrame  # COLUMNS
RESAMPLES = 2_000
LEAST_TEXTS = 20  # on each side
FLAGGED, CONTROL, GROUP, GROUP_CONTROL = "expert", "control", "group", "group control"
SIMILAR = 2.0  # a control's load lies within this factor
COLUMNS = ("kind", "experts", "load", "gap", "change", "low", "high", "score_change", "score_low", "score_high",
           "quality_change", "quality_low", "quality_high", "larger_controls", "controls", "p")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answers:
    """favourable_N bool, score_N (probability of the favourable label), right_N bool or None without labels."""

    favourable_N: NDArray[np.bool_]
    score_N: Floats
    right_N: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True)
class Masked:
    """One masked set and the answers without it; `load`: tokens it ran for, over all its experts."""

    kind: str
    experts: tuple[Expert, ...]
    load: int
    answers: Answers


def matched_controls(load_LE: NDArray[np.int64], expert: Expert, avoid: Sequence[Expert], n: int) -> list[Expert]:
    """Up to `n` experts with a load within SIMILAR of the expert's, those of its layer first, nearest loads first.

    `avoid`: experts that are under suspicion themselves.
    """
    layer, own = expert[0], max(1, int(load_LE[expert]))
    candidates = [
        (at, e)
        for at in range(load_LE.shape[0])
        for e in range(load_LE.shape[1])
        if (at, e) not in avoid and (at, e) != expert and own / SIMILAR <= load_LE[at, e] <= own * SIMILAR
    ]
    return sorted(candidates, key=lambda c: (c[0] != layer, abs(np.log(load_LE[c] / own)), c))[:n]


def matched_groups(
    controls: Sequence[Sequence[Expert]], layers: Sequence[int], n_experts: int, draws: int, seed: int
) -> list[tuple[Expert, ...]]:
    """Sets of one control for each flagged expert, drawn with the seed, without repeats; fewer where there are few.

    A set that would leave a layer without expert is not drawn. `layers`: layer of each flagged expert.
    """
    rng = np.random.default_rng(seed)
    found: dict[tuple[Expert, ...], None] = {}
    if any(len(each) == 0 for each in controls) or not layers:
        return []
    for _ in range(draws * 20):
        chosen = tuple(sorted({each[int(rng.integers(len(each)))] for each in controls}))
        full = any(sum(e[0] == layer for e in chosen) >= n_experts for layer in {e[0] for e in chosen})
        if len(chosen) == len(controls) and not full:
            found[chosen] = None
        if len(found) == draws:
            break
    return list(found)


def effects(
    whole: Answers, masked: Sequence[Masked], in_group_N: NDArray[np.bool_], *, seed: int,
    own: Mapping[Expert, Sequence[Expert]] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """COLUMNS, one row per masked set, flagged experts first. gap, change, low, high and quality in points; score in
    thousandths of probability. p = (1 + controls with at least this score change) / (1 + controls), two-sided, for
    experts against their own controls (`own`; all controls without it) and for the group of all against groups of
    controls; NaN for controls.

    Raises AuditError for fewer than 20 texts on a side.
    """
    sizes = int(in_group_N.sum()), int((~in_group_N).sum())
    if min(sizes) < LEAST_TEXTS:
        raise AuditError(
            f"The group has {sizes[0]} texts and all others {sizes[1]}: at least {LEAST_TEXTS} are needed on each side."
        )
    weights = _resampled(in_group_N, seed)
    gap = 100 * _gap(whole.favourable_N.astype(float), in_group_N)
    rows = []
    for each in masked:
        moved_N = each.answers.favourable_N.astype(float) - whole.favourable_N
        score_N = each.answers.score_N - whole.score_N
        change, low, high = _interval(100 * moved_N, in_group_N, weights)
        score, score_low, score_high = _interval(1000 * score_N, in_group_N, weights)
        quality = (np.nan, np.nan, np.nan)
        if whole.right_N is not None and each.answers.right_N is not None:
            lost_N = 100 * (each.answers.right_N.astype(float) - whole.right_N)
            drawn_R = sum(weight_RN @ lost_N[side_N] for weight_RN, side_N in weights) / len(lost_N)
            quality = (float(lost_N.mean()), *np.quantile(drawn_R, [0.025, 0.975]).tolist())
        moved = (change, low, high, score, score_low, score_high)
        rows.append((each.kind, each.experts, each.load, gap, *moved, *quality))
    frame = pd.DataFrame(rows, columns=list(COLUMNS[: len(COLUMNS) - 3]))
    return _ranked(frame, own or {})


def _ranked(frame: pd.DataFrame, own: Mapping[Expert, Sequence[Expert]]) -> pd.DataFrame:
    """Adds how many controls of the same kind move the score gap at least as much, and the p-value of that rank."""
    larger, controls, p = [], [], []
    for kind, experts, change in zip(frame["kind"], frame["experts"], frame["score_change"], strict=True):
        against = {FLAGGED: CONTROL, GROUP: GROUP_CONTROL}.get(str(kind))
        others = frame[frame["kind"] == against]
        if kind == FLAGGED and own:
            others = others[[each[0] in own[experts[0]] for each in others["experts"]]]
        others = others["score_change"]
        n = int((others.abs() >= abs(change) - 1e-9).sum())
        larger.append(n if against else None)
        controls.append(len(others) if against else None)
        p.append((1 + n) / (1 + len(others)) if against and len(others) else np.nan)
    frame["larger_controls"], frame["controls"], frame["p"] = larger, controls, p
    order = {FLAGGED: 0, GROUP: 1, CONTROL: 2, GROUP_CONTROL: 3}
    place = frame.assign(order=frame["kind"].map(order), size=-frame["score_change"].abs())
    return frame.loc[place.sort_values(["order", "size"], kind="stable").index, list(COLUMNS)].reset_index(drop=True)


def _gap(values_N: Floats, in_group_N: NDArray[np.bool_]) -> float:
    return float(values_N[in_group_N].mean() - values_N[~in_group_N].mean())


def _resampled(in_group_N: NDArray[np.bool_], seed: int) -> list[tuple[Floats, NDArray[np.int64]]]:
    """For the group and for the others: (how often each text is drawn (R, n), which texts)."""
    rng = np.random.default_rng(seed)
    result = []
    for side_N in (np.flatnonzero(in_group_N), np.flatnonzero(~in_group_N)):
        n = len(side_N)
        result.append((rng.multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float64), side_N))
    return result


def _interval(
    moved_N: Floats, in_group_N: NDArray[np.bool_], weights: Sequence[tuple[Floats, NDArray[np.int64]]]
) -> tuple[float, float, float]:
    """(change of the gap, lower, upper), 95 % percentiles over resampled texts."""
    (group_RN, group_N), (other_RN, other_N) = weights
    drawn_R = group_RN @ moved_N[group_N] / len(group_N) - other_RN @ moved_N[other_N] / len(other_N)
    low, high = np.quantile(drawn_R, [0.025, 0.975]).tolist()
    return _gap(moved_N, in_group_N), low, high

"""Escalation, measured: answer cheaply, let the dense original answer where the lead is small.

The lead below which a request is run again is chosen on one half of the texts and used on the other, and the other way
round; so every text is judged by a lead that it had no part in. `changed_share` is how many answers are still not those
of the original: by it, on the shipped tasks, one of several rows may be picked for other texts (`findings.py`).

Rows differ in how many requests run again. Most ask for a share of them. One spends, first pass and second together,
what the plain model spends at MATCHED_BUDGET (`same_cost_as`), so that the two can be compared without a line drawn
between points.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_core.evaluation import arms
from moe_core.evaluation.labelled import LabelledTexts
from moe_core.evaluation.quality import DENSE, Key, dense_answers, judge
from moe_core.evaluation.statistics import paired_points
from moe_core.model.heads import Head

SHARES = (0.03, 0.05, 0.1, 0.15, 0.2, 0.3)  # of the requests that are run again
MATCHED_BUDGET = 0.35


def sweep(
    name: str, head: Head, data: LabelledTexts, sides: Mapping[Key, arms.Embedded], base_budgets: Sequence[float]
) -> list[dict[str, Any]]:
    """One row per base budget and share. `hardest_tenth_*`: the tenth with the smallest lead of the dense original;
    `without_*`: the same texts, nothing run again; `same_flops_*`: the plain adaptive model at the same average FLOPs.
    """
    right = np.asarray(data.labels)
    half = np.random.default_rng(5).permutation(len(data)) % 2 == 1
    dense_labels, _, dense_leads = judge(head, sides[DENSE])
    dense_right, _ = dense_answers(head, sides[DENSE], right)
    hard = dense_leads <= np.quantile(dense_leads, 0.1)
    full = sides[DENSE].flops_N
    plain = [
        (side.flops_N.sum() / full.sum(), budget,
         paired_points(np.asarray(judge(head, side)[0]) == right, dense_right)[0])
        for (rule, budget), side in sides.items()
        if rule == "adaptive"
    ]  # fmt: skip
    rows = []
    for base in base_budgets:
        labels, _, leads = judge(head, sides["adaptive", base])
        correct = np.asarray(labels) == right
        asked: list[tuple[float, float | None]] = [(share, None) for share in SHARES]
        matched = sides.get(("adaptive", MATCHED_BUDGET))
        if matched is not None and base < MATCHED_BUDGET:
            asked.append((affordable(matched.flops_N, sides["adaptive", base].flops_N, full, leads), MATCHED_BUDGET))
        for share, same_cost_as in asked:
            margins = [float(np.quantile(leads[side], share)) for side in (~half, half)]
            again = leads < np.where(half, *margins)
            final = np.where(again, dense_right, correct)
            changed = ~again & (np.asarray(labels) != np.asarray(dense_labels))
            spent = sides["adaptive", base].flops_N + np.where(again, full, 0)
            flops = float(spent.sum() / full.sum())
            same = at_flops(plain, flops)
            delta, low, high = paired_points(final, dense_right)
            tenth, tenth_low, tenth_high = paired_points(final[hard], dense_right[hard])
            rows.append(
                {
                    "task": name, "base_budget": base, "asked_share": share, "same_cost_as": same_cost_as,
                    "margin_below": float(np.mean(margins)),
                    "n": len(data), "escalated_share": float(again.mean()), "flops_ratio": flops,
                    "changed_share": float(changed.mean()),
                    "delta_points": delta, "delta_low": low, "delta_high": high,
                    "without_delta_points": paired_points(correct, dense_right)[0],
                    "hardest_tenth_n": int(hard.sum()), "hardest_tenth_delta_points": tenth,
                    "hardest_tenth_low": tenth_low, "hardest_tenth_high": tenth_high,
                    "hardest_tenth_without": paired_points(correct[hard], dense_right[hard])[0],
                    "same_flops_budget": same[1], "same_flops_ratio": same[0], "same_flops_delta_points": same[2],
                }
            )  # fmt: skip
    return rows


def affordable(
    most_N: NDArray[np.int64], base_N: NDArray[np.int64], again_N: NDArray[np.int64], leads_N: NDArray[np.float64]
) -> float:
    """Share of the texts, those with the smallest leads, whose second pass `again_N` fits between the FLOPs of all
    first passes `base_N` and those of all `most_N`."""
    spent = np.cumsum(again_N[np.argsort(leads_N, kind="stable")])
    return float(np.searchsorted(spent, most_N.sum() - base_N.sum(), side="right")) / len(leads_N)


def at_flops(plain: Sequence[tuple[float, float, float]], flops: float) -> tuple[float, float, float]:
    """(FLOPs ratio, budget, points) of the plain model at `flops`: on the line between the two measured points beside
    it, as if each text ran at one of the two by lot; the nearest point outside what was measured."""
    ordered = sorted(plain)
    ratios = [point[0] for point in ordered]
    if flops <= ratios[0] or flops >= ratios[-1]:
        return ordered[0] if flops <= ratios[0] else ordered[-1]
    right = next(i for i, ratio in enumerate(ratios) if ratio >= flops)
    low, high = ordered[right - 1], ordered[right]
    weight = (flops - low[0]) / (high[0] - low[0])
    return flops, low[1] + weight * (high[1] - low[1]), low[2] + weight * (high[2] - low[2])

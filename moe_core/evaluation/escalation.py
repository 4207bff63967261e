"""Escalation, measured: answer cheaply, let the dense original answer where the lead is small.

The lead below which a request is run again is chosen on one half of the texts, all figures come from the other half.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from moe_core.evaluation import arms
from moe_core.evaluation.labelled import LabelledTexts
from moe_core.evaluation.quality import DENSE, Key, judge
from moe_core.evaluation.statistics import paired_points
from moe_core.model.heads import Head

SHARES = (0.05, 0.1, 0.15, 0.2, 0.3)  # of the requests that are run again


def sweep(
    name: str, head: Head, data: LabelledTexts, sides: Mapping[Key, arms.Embedded], base_budgets: Sequence[float]
) -> list[dict[str, Any]]:
    """One row per base budget and share. `hardest_tenth_delta_points`: the tenth with the smallest lead of the dense
    original; `same_flops_*`: the plain adaptive model at the budget whose FLOPs come nearest."""
    right = np.asarray(data.labels)
    half = np.random.default_rng(5).permutation(len(data)) % 2 == 0
    dense_labels, _, dense_leads = judge(head, sides[DENSE])
    dense_right = np.asarray(dense_labels) == right
    hard = dense_leads <= np.quantile(dense_leads[~half], 0.1)
    plain = {
        budget: (side.flops / side.flops_dense, np.asarray(judge(head, side)[0]) == right)
        for (rule, budget), side in sides.items()
        if rule == "adaptive"
    }
    rows = []
    for base in base_budgets:
        side = sides["adaptive", base]
        labels, _, leads = judge(head, side)
        correct = np.asarray(labels) == right
        cheap = side.flops / side.flops_dense
        for share in SHARES:
            margin = float(np.quantile(leads[half], share))
            again = leads < margin
            final = np.where(again, dense_right, correct)
            rest = ~half
            flops = cheap + float(again[rest].mean())
            same = min(plain, key=lambda b: abs(plain[b][0] - flops))
            delta, low, high = paired_points(final[rest], dense_right[rest])
            tenth, tenth_low, tenth_high = paired_points(final[rest & hard], dense_right[rest & hard])
            before, _, _ = paired_points(correct[rest & hard], dense_right[rest & hard])
            rows.append(
                {
                    "task": name, "base_budget": base, "margin_below": margin, "n": int(rest.sum()),
                    "escalated_share": float(again[rest].mean()), "flops_ratio": flops,
                    "delta_points": delta, "delta_low": low, "delta_high": high,
                    "without_delta_points": paired_points(correct[rest], dense_right[rest])[0],
                    "hardest_tenth_n": int((rest & hard).sum()), "hardest_tenth_delta_points": tenth,
                    "hardest_tenth_low": tenth_low, "hardest_tenth_high": tenth_high,
                    "hardest_tenth_without": before,
                    "same_flops_budget": same, "same_flops_ratio": plain[same][0],
                    "same_flops_delta_points": paired_points(plain[same][1][rest], dense_right[rest])[0],
                }
            )  # fmt: skip
    return rows

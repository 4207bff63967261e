"""What the figures of an evaluation.json allow to say: each aim, its bound, and whether it was met.

`holds`: the interval lies within the bound. `open`: the estimate does, its interval does not. `does not hold`: the
estimate misses the bound. Which row is read follows from a rule fixed here, never from what came out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Verdict = Literal["holds", "open", "does not hold"]
Row = Mapping[str, Any]

MEAN_LOSS, TASK_LOSS, UNSEEN_LOSS, BEHAVIOUR_LOSS, ESCALATED_LOSS = 0.5, 1.0, 0.7, 2.0, 1.0
EXPERT_SHARE, ENCODER_SHARE = 0.27, 0.45  # 0.25 asked; the dial meets it within 0.02
BUDGET = 0.35
HARD_SHARE = 0.2  # of the requests run again where the hardest tenth is read
BEHAVIOUR = "behaviour_cases"


@dataclass(frozen=True, slots=True)
class Finding:
    """name: the aim; sentence: figures with n and interval."""

    name: str
    verdict: Verdict
    sentence: str


def findings(document: Row) -> list[Finding]:
    """One finding for each aim that the document has figures for."""
    return [
        *_quality(document["tasks"]),
        *_against_top_k(document["tasks"]),
        *_unseen(document),
        *_hardest(document),
        *_lost(document),
        *([difficulty_finding(document["difficulty"])] if document.get("difficulty") else []),
        *_load(document.get("load", [])),
    ]


def verdict(estimate: float, low: float, bound: float) -> Verdict:
    """Of an estimate that should be at least `bound`; `low`: unfavourable end of its interval."""
    if estimate < bound:
        return "does not hold"
    return "holds" if low >= bound else "open"


def mean_points(tasks: Sequence[Row], rule: str, budget: float) -> tuple[float, float, float] | None:
    """Mean points over tasks with an interval (tasks are independent samples); None unless all have the point."""
    points = [_point(task, rule, budget) for task in tasks]
    found = [point for point in points if point is not None]
    if not found or len(found) < len(points):
        return None
    mean = float(np.mean([point["delta_points"] for point in found]))
    half = _mean_half([p["delta_low"] for p in found], [p["delta_high"] for p in found])
    return mean, mean - half, mean + half


def difficulty_finding(found: Row) -> Finding:
    """The sentence that the figures allow, and no other: both measures of difficulty and the swap must agree."""
    settling = found["settling"]
    figures = (
        f"Spearman correlation of a token's experts with what sparseness costs it {_correlation(found)}, with how late "
        f"its state settles in the dense original {_correlation(settling)}, {found['n_tokens']:,} tokens. Made to run "
        f"the shuffled numbers at the same compute, the model's mean cosine to dense goes from "
        f"{found['own_counts_cosine']:.4f} to {found['shuffled_counts_cosine']:.4f} (own minus shuffled "
        f"{found['swap_difference']:+.4f}, 95 % {found['swap_low']:+.4f} to {found['swap_high']:+.4f}, "
        f"n = {found['n_texts']} texts)."
    )
    by_cost, by_settling = _beats_shuffled(found), _beats_shuffled(settling)
    matters = found["swap_low"] > 0
    if by_cost and by_settling and matters:
        return Finding("hard tokens", "holds", f"More experts go to harder tokens, and it matters which. {figures}")
    if by_cost and by_settling:
        text = "More experts go to harder tokens, but giving the numbers to other tokens does no measurable harm."
    elif by_cost or by_settling:
        which = "that sparseness costs most" if by_cost else "that settle late in the dense original"
        other = "that settle late in the dense original" if by_cost else "that sparseness costs most"
        text = f"More experts go to the tokens {which}, but not to those {other}: difficulty is not one thing here."
    elif matters:
        text = "More experts do not go to harder tokens, though it matters which tokens get them."
    else:
        text = "More experts do not go to harder tokens."
    return Finding("hard tokens", "does not hold", f"{text} {figures}")


def _beats_shuffled(found: Row) -> bool:
    return bool(found["spearman"] > max(0.0, found["shuffled_p95"]))


def _correlation(found: Row) -> str:
    return (
        f"{found['spearman']:.3f} (numbers shuffled inside each text: 95 % of draws below {found['shuffled_p95']:.3f})"
    )


def _mean_half(low: Sequence[float], high: Sequence[float]) -> float:
    """Half width of the interval of a mean of independent estimates, from theirs."""
    return float(np.sqrt(np.sum((np.asarray(high) - np.asarray(low)) ** 2))) / 2 / len(low)


def _point(task: Row, rule: str, budget: float) -> Row | None:
    return next((p for p in task["points"] if p["rule"] == rule and abs(p["budget"] - budget) < 1e-9), None)


def _interval(row: Row) -> str:
    return f"{row['delta_points']:+.2f} points (95 % {row['delta_low']:+.2f} to {row['delta_high']:+.2f})"


def _quality(tasks: Sequence[Row]) -> Iterator[Finding]:
    """The largest budget within both shares of compute: mean over the tasks, and the worst task."""
    budgets = sorted({p["budget"] for t in tasks for p in t["points"] if p["rule"] == "adaptive"}, reverse=True)
    for budget in budgets:
        points = [(task, _point(task, "adaptive", budget)) for task in tasks]
        share = float(np.mean([p["active_fraction"] for _, p in points if p]))
        flops = float(np.mean([p["flops_ratio"] for _, p in points if p]))
        mean = mean_points(tasks, "adaptive", budget)
        if mean is None or share > EXPERT_SHARE or (flops > ENCODER_SHARE and budget != budgets[-1]):
            continue
        cost = f"At budget {budget:g} ({share:.0%} of the expert compute, {flops:.0%} of the encoder's FLOPs)"
        estimate, low, high = mean
        met = verdict(estimate, low, -MEAN_LOSS) if flops <= ENCODER_SHARE else "does not hold"
        yield Finding("quality, mean", met,
                      f"{cost} the {len(tasks)} shipped tasks change by {estimate:+.2f} points on average (95 % "
                      f"{low:+.2f} to {high:+.2f}); asked: at least -{MEAN_LOSS:g} at {ENCODER_SHARE:.0%} of the "
                      "FLOPs.")  # fmt: skip
        worst, point = min(((t, p) for t, p in points if p), key=lambda pair: float(pair[1]["delta_points"]))
        yield Finding("quality, worst task", verdict(point["delta_points"], point["delta_low"], -TASK_LOSS),
                      f"{cost} the worst of them, {worst['name']}, changes by {_interval(point)}, n = {worst['n']}; "
                      f"asked: at least -{TASK_LOSS:g}.")  # fmt: skip
        return


def _against_top_k(tasks: Sequence[Row]) -> Iterator[Finding]:
    """Paired, where top-k runs the same share (a quarter of the experts)."""
    points = [point for task in tasks if (point := _point(task, "topk", 0.25)) is not None]
    if points and len(points) == len(tasks):
        mean = float(np.mean([p["adaptive_ahead"] for p in points]))
        half = _mean_half([p["adaptive_ahead_low"] for p in points], [p["adaptive_ahead_high"] for p in points])
        better: Verdict = "does not hold" if mean <= 0 else "holds" if mean - half > 0 else "open"
        yield Finding("better than fixed top-k", better,
                      f"At budget 0.25 the adaptive rule is ahead of fixed top-k on the same weights by {mean:+.2f} "
                      f"points on average over {len(tasks)} tasks (95 % {mean - half:+.2f} to {mean + half:+.2f}, "
                      f"n = {sum(task['n'] for task in tasks)}).")  # fmt: skip


def _unseen(document: Row) -> Iterator[Finding]:
    for task in document.get("unseen", []):
        point = _point(task, "adaptive", BUDGET)
        if point is None:
            continue
        bound = BEHAVIOUR_LOSS if task["name"] == BEHAVIOUR else UNSEEN_LOSS
        yield Finding(f"never trained on: {task['name']}", verdict(point["delta_points"], point["delta_low"], -bound),
                      f"At budget {BUDGET:g} {task['name']} changes by {_interval(point)}, n = {task['n']}; asked: at "
                      f"least -{bound:g}.")  # fmt: skip
        if task["name"] == BEHAVIOUR and (row := _chosen_escalation(document)) is not None:
            yield Finding("never trained on, with escalation",
                          verdict(row["delta_points"], row["delta_low"], -ESCALATED_LOSS),
                          f"From budget {row['base_budget']:g}, {row['escalated_share']:.0%} run again at "
                          f"{row['flops_ratio']:.1%} of the dense FLOPs (budget {BUDGET:g} costs "
                          f"{point['flops_ratio']:.1%}; of the base budgets the one that changes the fewest answers of "
                          f"the shipped tasks at that cost): {_interval(row)}, n = {row['n']}; asked: at least "
                          f"-{ESCALATED_LOSS:g}.")  # fmt: skip


def _chosen_escalation(document: Row) -> Row | None:
    """Of the ways to escalate the behaviour cases at the cost of BUDGET, the one that changes the fewest answers of
    the shipped tasks; how the cases themselves came out has no say."""
    shipped = {task["name"] for task in document["tasks"]}
    rows = [row for row in document.get("escalation", []) if row.get("same_cost_as") == BUDGET]

    def changed(row: Row) -> float:
        alike = [e["changed_share"] for e in rows if e["task"] in shipped and e["base_budget"] == row["base_budget"]]
        return float(np.mean(alike)) if alike else float("inf")

    return min((e for e in rows if e["task"] == BEHAVIOUR), key=changed, default=None)


def _hardest(document: Row) -> Iterator[Finding]:
    shipped = {task["name"] for task in document["tasks"]}
    rows = [e for e in document.get("escalation", []) if e["task"] in shipped and e["asked_share"] == HARD_SHARE
            and e.get("same_cost_as") is None]  # fmt: skip
    rows = [e for e in rows if e["base_budget"] == max(r["base_budget"] for r in rows)]
    if not rows:
        return
    mean = float(np.mean([e["hardest_tenth_delta_points"] for e in rows]))
    half = _mean_half([e["hardest_tenth_low"] for e in rows], [e["hardest_tenth_high"] for e in rows])
    without = float(np.mean([e["hardest_tenth_without"] for e in rows]))
    yield Finding("hardest tenth with escalation", verdict(mean, mean - half, -MEAN_LOSS),
                  f"From budget {rows[0]['base_budget']:g} with about {HARD_SHARE:.0%} run again "
                  f"({_mean_flops(rows):.0%} of dense FLOPs), the tenth of the texts that the original is least sure "
                  f"of changes by {mean:+.2f} points (95 % {mean - half:+.2f} to {mean + half:+.2f}; without "
                  f"escalation {without:+.2f}), mean over {len(rows)} tasks, n = "
                  f"{sum(e['hardest_tenth_n'] for e in rows)}; asked: at least -{MEAN_LOSS:g}.")  # fmt: skip


def _mean_flops(rows: Sequence[Row]) -> float:
    return float(np.mean([row["flops_ratio"] for row in rows]))


def _lost(document: Row) -> Iterator[Finding]:
    for key, words, bound in (("single", "one expert", 0.5), ("pair", "two experts", 1.0)):
        rows = document.get("lost_experts", {}).get(key, [])
        if rows:
            worst = min(rows, key=lambda row: float(row["worst_points"]))
            yield Finding(f"{words} lost", verdict(worst["worst_points"], worst["worst_low"], -bound),
                          f"Of {worst['tried']} losses of {words} tried on each of {len(rows)} tasks, the worst that "
                          f"was confirmed on other texts ({', '.join(worst['worst'])}, {worst['task']}, n = "
                          f"{worst['n']}) changes the answer by {worst['worst_points']:+.2f} points (95 % "
                          f"{worst['worst_low']:+.2f} to {worst['worst_high']:+.2f}); asked: at least "
                          f"-{bound:g}.")  # fmt: skip


def _load(loads: Sequence[Row]) -> Iterator[Finding]:
    for load in loads:
        if abs(load["budget"] - BUDGET) < 1e-9:
            met: Verdict = "holds" if not load["dead"] else "does not hold"
            yield Finding("no dead expert", met,
                          f"At budget {BUDGET:g} {load['dead']} experts never ran and {load['cold']} ran less than a "
                          f"tenth of an equal share; the busiest ran {load['busiest_ratio']:.1f} times an equal share "
                          f"(n = {load['n_tokens']:,} tokens).")  # fmt: skip

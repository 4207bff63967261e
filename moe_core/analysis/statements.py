"""The three executive sentences, each with the measured figures that support it.

Every number names its baseline (the dense original) and its n. A sentence without a measurement is
"not supported yet", together with what would support it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from moe_core.analysis.message import N_, Message
from moe_core.analysis.overview import MIN_PAIRS, Accuracy, Agreement, Cost, Spread, worst_accuracy, worst_agreement


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One measured figure in large type: the number, and what it counts."""

    value: Message
    label: Message


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One executive sentence with what supports it.

    `figures` are the measured figures, none where the sentence is not supported yet; `evidence` says in
    words what was measured and over how many; `limits` what it does not show; `next_step` what would
    support it.
    """

    key: str
    sentence: str
    figures: tuple[Figure, ...]
    evidence: Message
    limits: Message
    next_step: Message | None = None

    @property
    def supported(self) -> bool:
        return bool(self.figures)


def statement_focus(measured: Spread | None) -> Statement:
    """Sentence 1: compute goes where it is needed; evidence = spread of experts used between tokens."""
    sentence = N_("The design concentrates computing resources only on the data that matters.")
    limits = Message(
        N_(
            "This shows that tokens are treated differently, not yet that the tokens with more compute are the ones "
            "that matter."
        )
    )
    if measured is None or measured.p90 <= measured.p10:
        return Statement(
            key="focus",
            sentence=sentence,
            figures=(),
            evidence=Message(N_("No difference in compute between tokens has been measured."))
            if measured is None
            else Message(
                N_(
                    "Between the 10th and the 90th percentile every token ran {p50} of {e} experts "
                    "(n = {n:,} token-layer pairs)."
                ),
                {"p50": measured.p50, "e": measured.n_experts, "n": measured.n},
            ),
            limits=limits,
            next_step=Message(N_("Run requests in adaptive mode with a budget below 1.")),
        )
    return Statement(
        key="focus",
        sentence=sentence,
        figures=(
            Figure(
                value=Message(N_("{p10} to {p90}"), {"p10": measured.p10, "p90": measured.p90}),
                label=Message(N_("of {e} experts run for a token in a layer"), {"e": measured.n_experts}),
            ),
        ),
        evidence=Message(
            N_(
                "Experts run per token and layer, 10th to 90th percentile; median {p50}. "
                "The dense original always runs {e} (n = {n:,} token-layer pairs)."
            ),
            {"p50": measured.p50, "e": measured.n_experts, "n": measured.n},
        ),
        limits=limits,
    )


def statement_cost(measured: Cost, agreement: Agreement | None, accuracy: Accuracy | None) -> Statement:
    """Sentence 2: lower average cost, performance kept. Needs the cost from the log, and either enough text pairs
    of the log or the model card's accuracy."""
    sentence = N_("It lowers the average cost while securing performance when it is needed.")
    limits = Message(
        N_("FLOPs are operations, not time. The dense original is the baseline of both; it can be wrong too.")
    )
    paired = agreement if agreement and (agreement.n >= MIN_PAIRS or accuracy is None) else None
    if measured.encoder_flops is None or (paired is None and accuracy is None):
        evidence = (
            Message(N_("Neither cost nor agreement with the dense original has been measured."))
            if measured.encoder_flops is None
            else Message(
                N_(
                    "Cost is measured: {flops:.0%} of the dense original's FLOPs (n = {n:,} requests). "
                    "Whether the answers stay the same is not."
                ),
                {"flops": measured.encoder_flops, "n": measured.requests},
            )
        )
        return Statement(
            key="cost",
            sentence=sentence,
            figures=(),
            evidence=evidence,
            limits=limits,
            next_step=Message(
                N_("Run the same texts in dense and in adaptive mode; the live page does both for each text.")
            ),
        )
    if paired is not None:
        low, high = paired.interval
        return Statement(
            key="cost",
            sentence=sentence,
            figures=(
                _flops_figure(measured.encoder_flops),
                Figure(
                    value=Message(N_("{share:.1%}"), {"share": paired.share}),
                    label=Message(N_("of the answers are the same")),
                ),
            ),
            evidence=Message(
                N_(
                    "Against the dense original: FLOPs of the whole encoder over n = {n:,} requests; same label for "
                    "{share:.1%} of n = {m:,} texts answered in both modes (95% interval {low:.1%} to {high:.1%}) at "
                    "budget {budget:.2f}, the lowest agreement of all budgets."
                ),
                {
                    "n": measured.requests,
                    "share": paired.share,
                    "m": paired.n,
                    "low": low,
                    "high": high,
                    "budget": paired.budget,
                },
            ),
            limits=limits,
        )
    assert accuracy is not None
    low, high = accuracy.interval
    return Statement(
        key="cost",
        sentence=sentence,
        figures=(
            _flops_figure(measured.encoder_flops),
            Figure(
                value=Message(N_("{change:+.1f}"), {"change": 100 * accuracy.change}),
                label=Message(N_("points of accuracy")),
            ),
        ),
        evidence=Message(
            N_(
                "Against the dense original: FLOPs over n = {n:,} requests of the log; accuracy {accuracy:.1%} (95% "
                "interval {low:.1%} to {high:.1%}) instead of {dense:.1%} on {m:,} held-out texts at budget "
                "{budget:.2f}, worst of the model's heads."
            ),
            {
                "n": measured.requests,
                "accuracy": accuracy.accuracy,
                "low": low,
                "high": high,
                "dense": accuracy.dense,
                "m": accuracy.n,
                "budget": accuracy.budget,
            },
        ),
        limits=limits,
    )


def statement_rollout(agreements: Sequence[Agreement], measured: Sequence[Accuracy]) -> Statement:
    """Sentence 3: stepwise introduction; needs two steps or more that were compared with the dense original."""
    sentence = N_("Rolling it out in steps keeps the risk low.")
    limits = Message(N_("Results on these texts do not carry over to texts of another kind: pilot on your own data."))
    enough = [a for a in agreements if a.n >= MIN_PAIRS]
    if len(enough) >= 2:
        worst = min(enough, key=lambda a: (a.share, a.budget))
        best = max(enough, key=lambda a: (a.share, a.budget))
        equal = worst.share == best.share
        lowest, highest = min(a.budget for a in enough), max(a.budget for a in enough)
        return Statement(
            key="rollout",
            sentence=sentence,
            figures=(
                _steps_figure(len(enough)),
                Figure(
                    value=Message(N_("{share:.1%}") if equal else N_("≥ {share:.1%}"), {"share": worst.share}),
                    label=Message(N_("of the answers are the same in every step")),
                ),
            ),
            evidence=Message(
                N_(
                    "Same label as the dense original at all budgets from {low:.2f} to {high:.2f} alike "
                    "(n = {n:,} texts or more per step, each answered in both modes)."
                ),
                {"low": lowest, "high": highest, "n": min(a.n for a in enough)},
            )
            if equal
            else Message(
                N_(
                    "Same label as the dense original: fewest at budget {worst:.2f}, most at budget {best:.2f} "
                    "with {share:.1%} (n = {n:,} texts or more per step, each answered in both modes)."
                ),
                {"worst": worst.budget, "best": best.budget, "share": best.share, "n": min(a.n for a in enough)},
            ),
            limits=limits,
        )
    budgets = sorted({a.budget for a in measured})
    if len(budgets) >= 2:
        worst_card = min(measured, key=lambda a: a.change)
        return Statement(
            key="rollout",
            sentence=sentence,
            figures=(
                _steps_figure(len(budgets)),
                Figure(
                    value=Message(N_("{change:+.1f}"), {"change": 100 * worst_card.change}),
                    label=Message(N_("points of accuracy in the worst step")),
                ),
            ),
            evidence=Message(
                N_(
                    "Accuracy against the dense original on held-out texts of the model card, budgets "
                    "{low_budget:.2f} to {high_budget:.2f} (n = {n:,} texts for the worst step)."
                ),
                {"low_budget": budgets[0], "high_budget": budgets[-1], "n": worst_card.n},
            ),
            limits=limits,
        )
    return Statement(
        key="rollout",
        sentence=sentence,
        figures=(),
        evidence=Message(N_("Fewer than two steps have been compared with the dense original.")),
        limits=limits,
        next_step=Message(
            N_("Compare at least two budgets with the dense original, on at least {n} texts each."), {"n": MIN_PAIRS}
        ),
    )


def _flops_figure(share: float) -> Figure:
    return Figure(
        value=Message(N_("{share:.0%}"), {"share": share}), label=Message(N_("of the dense original's FLOPs"))
    )


def _steps_figure(steps: int) -> Figure:
    return Figure(value=Message(N_("{n}"), {"n": steps}), label=Message(N_("budgets compared with the dense original")))


def statements(
    measured: Cost, tokens: Spread | None, agreements: Sequence[Agreement], cards: Sequence[Accuracy]
) -> list[Statement]:
    """The three sentences in their fixed order."""
    return [
        statement_focus(tokens),
        statement_cost(measured, worst_agreement(agreements), worst_accuracy(cards, measured.budget)),
        statement_rollout(agreements, cards),
    ]

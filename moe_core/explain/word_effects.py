"""What leaving out or swapping a word does to one decision and to the answer: plain numbers, no torch.

Every effect stands beside a floor: what neutral swaps of the same length do at other places of the same text. An effect
inside the floor is no more than any edit does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from moe_core.explain.word_units import Word

FEWEST = 8  # neutral swaps that make a floor
FLOOR_SHARE = 0.9  # of the neutral swaps lie within the floor's limit


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One text as the model read it. score, threshold, margin, runs: of the followed decision, None where its token is
    not in the text; probability, lead: of the label that the intact text gets, None without a head (`lead` is minus
    the best other label's, so below 0 where another one wins); experts_per_token: experts that ran in a layer."""

    n_tokens: int
    score: float | None
    threshold: float | None
    margin: float | None
    runs: bool | None
    label: str | None
    probability: float | None
    lead: float | None
    experts_per_token: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Floor:
    """What `n` neutral swaps change, without sign: the median, the limit that nine of ten stay within, the largest;
    `turned`: how many of them turn the decision (or give another label)."""

    n: int
    typical: float
    limit: float
    largest: float
    turned: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """One change against its floor. `change` is after minus before; None where there is nothing to compare."""

    change: float | None
    turns: bool | None
    floor: Floor | None

    @property
    def beyond(self) -> bool | None:
        """Whether it is larger than what nine of ten neutral swaps do; None without a change or a floor."""
        if self.change is None or self.floor is None:
            return None
        return abs(self.change) > self.floor.limit


@dataclass(frozen=True, kw_only=True, slots=True)
class WordEffect:
    """A text without one word. `reading` is None where nothing is left to read; `holds_token`: the followed token is
    (a part of) this word, so that without it the decision does not exist."""

    index: int
    word: Word
    holds_token: bool
    reading: Reading | None
    decision: Effect
    answer: Effect
    compute: Effect


@dataclass(frozen=True, kw_only=True, slots=True)
class WordReport:
    """All words of one text against one decision. `grouped`: words in a unit (1 unless the text is long); `unknown`:
    share of tokens the model has no word for; n_texts: variants that were run, all at once."""

    position: int
    layer: int
    expert_id: int
    intact: Reading
    words: tuple[WordEffect, ...]
    grouped: int
    unknown: float
    n_texts: int

    @property
    def strongest_for_decision(self) -> WordEffect | None:
        """The word whose absence changes the margin most, the first of equals; None where no word can be left out."""
        return _strongest([(each, each.decision) for each in self.words])

    @property
    def strongest_for_answer(self) -> WordEffect | None:
        """The word whose absence changes the label's probability most."""
        return _strongest([(each, each.answer) for each in self.words])

    @property
    def n_compared(self) -> int:
        """Words whose absence leaves the decision in place."""
        return sum(each.decision.change is not None for each in self.words)


@dataclass(frozen=True, kw_only=True, slots=True)
class SwapReport:
    """One word replaced by another, beside neutral replacements of the same word and length."""

    word: Word
    replacement: str
    before: Reading
    after: Reading
    decision: Effect
    answer: Effect
    compute: Effect
    neutral_words: tuple[str, ...]
    from_lists: bool


def effects(before: Reading, after: Reading | None, others: Sequence[Reading]) -> tuple[Effect, Effect, Effect]:
    """(decision, answer, compute) of one edit; `others`: the neutral swaps it is held against."""
    gone = Reading(n_tokens=0, score=None, threshold=None, margin=None, runs=None, label=None, probability=None,
                   lead=None, experts_per_token=float("nan"))  # fmt: skip
    now = after or gone
    return (
        _effect(before.margin, now.margin, [each.margin for each in others], _turned(before.runs, now.runs),
                [_turned(before.runs, each.runs) for each in others]),
        _effect(before.probability, now.probability, [each.probability for each in others],
                _turned(before.label, now.label), [_turned(before.label, each.label) for each in others]),
        _effect(before.experts_per_token, None if after is None else after.experts_per_token,
                [each.experts_per_token for each in others], None, []),
    )  # fmt: skip


def floor_of(changes: Sequence[float], turned: int) -> Floor | None:
    """The floor of neutral changes; None of fewer than `FEWEST`."""
    sizes = sorted(abs(change) for change in changes)
    n = len(sizes)
    if n < FEWEST:
        return None
    median = (sizes[(n - 1) // 2] + sizes[n // 2]) / 2
    return Floor(n=n, typical=median, limit=sizes[math.ceil(FLOOR_SHARE * n) - 1], largest=sizes[-1], turned=turned)


def _effect(
    before: float | None, after: float | None, others: Sequence[float | None], turns: bool | None,
    turned: Sequence[bool | None],
) -> Effect:  # fmt: skip
    if before is None:
        return Effect(change=None, turns=None, floor=None)
    known = [value - before for value in others if value is not None]
    change = None if after is None else after - before
    return Effect(change=change, turns=turns, floor=floor_of(known, sum(each is True for each in turned)))


def _turned(before: object, after: object) -> bool | None:
    return None if before is None or after is None else before != after


def _strongest(pairs: Sequence[tuple[WordEffect, Effect]]) -> WordEffect | None:
    known = [(abs(effect.change), word) for word, effect in pairs if effect.change is not None]
    return max(known, key=lambda pair: (pair[0], -pair[1].index))[1] if known else None

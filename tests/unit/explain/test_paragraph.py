"""The paragraph says what the numbers say: each number in it is one of the result, each sentence has its condition."""

import dataclasses
import re
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from moe_core.analysis.message import Message
from moe_core.dashboard.i18n import translator
from moe_core.explain.component_names import is_constant
from moe_core.explain.decision import BudgetFlip, DecisionExplanation, Flip
from moe_core.explain.paragraph import paragraph
from moe_core.explain.word_effects import Effect, Floor, Reading, WordEffect, WordReport
from moe_core.explain.word_units import Word
from tests.unit.explain.made_up import explanation, explanations, numbers, unhurried

CAUSAL = re.compile(r"\b(because|caused?|causes|due to|reason|about|drives?|leads? to)\b")


def reading(margin: float | None, probability: float | None, label: str = "good") -> Reading:
    return Reading(n_tokens=6, score=0.5, threshold=0.4, margin=margin, runs=None if margin is None else margin > 0,
                   label=label, probability=probability, lead=0.1, experts_per_token=2.5)  # fmt: skip


def word(index: int, text: str, decision: Effect, answer: Effect, after: Reading | None) -> WordEffect:
    return WordEffect(index=index, word=Word(text=text, start=0, end=len(text), core=(0, len(text))), holds_token=False,
                      reading=after, decision=decision, answer=answer,
                      compute=Effect(change=0.1, turns=None, floor=None))  # fmt: skip


def report(*words: WordEffect) -> WordReport:
    return WordReport(position=2, layer=1, expert_id=1, intact=reading(0.11, 0.9), words=words, grouped=1, unknown=0.0,
                      n_texts=20)  # fmt: skip


@st.composite
def reports(draw: st.DrawFn) -> WordReport:
    """Up to four words with any effects, with and without a floor."""

    def effect() -> Effect:
        some = st.builds(
            Floor, n=st.integers(8, 40), typical=numbers, limit=numbers.map(abs), largest=numbers,
            turned=st.integers(0, 8),
        )  # fmt: skip
        floor = draw(st.one_of(st.none(), some))
        change = draw(st.one_of(st.none(), numbers))
        return Effect(change=change, turns=draw(st.booleans()) if change is not None else None, floor=floor)

    return report(
        *(
            word(i, draw(st.text(min_size=1, max_size=5)), effect(), effect(), reading(draw(numbers), draw(numbers)))
            for i in range(draw(st.integers(0, 4)))
        )
    )


def numbers_in(value: object) -> Iterator[float]:
    """Every number anywhere in a result, and the counts of its parts."""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from numbers_in(getattr(value, field.name))
    elif isinstance(value, tuple):
        yield len(value)
        for each in value:
            yield from numbers_in(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def counts(decision: DecisionExplanation, words: WordReport | None) -> set[float]:
    """Numbers that are counts over the result."""
    tried = [part for part in decision.contributions if part.runs_without is not None]
    found = {len(tried), sum(part.runs_without != decision.runs for part in tried)}
    if words is not None:
        found |= {words.n_compared, sum(each.answer.change is not None for each in words.words)}
    return {float(value) for value in found}


def flat(message: Message) -> Iterator[tuple[str, object]]:
    for name, value in message.params.items():
        if isinstance(value, Message):
            yield from flat(value)
        else:
            yield name, value


@unhurried
@given(explanations(), st.one_of(st.none(), reports()))
def test_every_number_is_one_of_the_result(decision: DecisionExplanation, words: WordReport | None) -> None:
    """No sentence carries a number that the explanation does not hold; -1 stands for a part that has no layer."""
    known = {float(value) for value in [*numbers_in(decision), *numbers_in(words), -1.0]} | counts(decision, words)
    for message in paragraph(decision, words):
        for name, value in flat(message):
            if isinstance(value, int | float):
                assert float(value) in known, name


@unhurried
@given(explanations(), st.one_of(st.none(), reports()))
def test_a_sentence_stands_only_where_its_condition_holds(
    decision: DecisionExplanation, words: WordReport | None
) -> None:
    """Parts, flips, budgets, words and rounding are spoken of if and only if the result holds them."""
    said = [message.msgid for message in paragraph(decision, words)]
    text = " ".join(said)
    tried = [part for part in decision.contributions if part.runs_without is not None]
    turning = [part for part in tried if part.runs_without != decision.runs]
    assert ("largest shares" in text) == any(not is_constant(part) for part in decision.contributions)
    assert ("constants of the model" in text) == (
        0 < sum(not is_constant(part) for part in decision.contributions) < len(decision.contributions)
    )
    assert ("would each" in text) == bool(turning)
    assert ("any one of the" in text) == (bool(tried) and not turning)
    assert ("smallest change" in text) == (decision.flip.relative is not None)
    assert ("No budget" in text) == (decision.budget_flip.budget is None)
    assert ("stays the same when" in text) == decision.stable_in_bf16
    first = None if words is None else words.strongest_for_decision
    answer = None if words is None else words.strongest_for_answer
    assert ("changes the margin most" in text) == (first is not None)
    assert ("the expert would" in text) == (first is not None and first.decision.turns is True)
    assert ("For the answer" in text) == (answer is not None)
    quiet = sum(effect.beyond is False for effect in [*([first.decision] if first else []),
                                                      *([answer.answer] if answer else [])])  # fmt: skip
    assert text.count("no more than any edit does") == quiet
    assert not CAUSAL.search(text)


@unhurried
@given(explanations(), st.one_of(st.none(), reports()))
def test_both_languages_say_the_same_numbers(decision: DecisionExplanation, words: WordReport | None) -> None:
    """Whatever the token or the word is, both texts are made, and hold the same figures in some order."""
    figure = re.compile(r"[+-]?\d+\.\d+%?")
    for message in paragraph(decision, words):
        plain = Message(message.msgid, {k: "x" if isinstance(v, str) else v for k, v in message.params.items()})
        assert sorted(figure.findall(plain.text())) == sorted(figure.findall(plain.text(translator("ja"))))


def test_the_paragraph_of_one_decision_by_hand() -> None:
    """Every sentence of an explanation made by hand, in order."""
    floor = Floor(n=24, typical=0.01, limit=0.05, largest=0.09, turned=1)
    words = report(
        word(0, "never", Effect(change=-0.13, turns=True, floor=floor), Effect(change=-0.02, turns=False, floor=floor),
             reading(-0.02, 0.88)),
        word(1, "box", Effect(change=0.01, turns=False, floor=floor), Effect(change=0.01, turns=False, floor=floor),
             reading(0.12, 0.91)),
    )  # fmt: skip
    assert [message.text() for message in paragraph(explanation(), words)] == [
        "Expert 1 runs for “parcel” in layer 1: its score is 0.420 against a threshold of 0.310, a margin of +0.1100.",
        "The largest shares of this margin are head 3 of layer 1 (+0.2000), word embedding (+0.0600); with those of "
        "all 3 components, constants of the model among them, they add up to it. They say what the sum is made of, not "
        "what happens without a part.",
        "1 of 2 components would each stop it if taken away, with the norms computed again, the largest of them head 3 "
        "of layer 1 (margin then -0.0700).",
        "The smallest change of the router's input that turns the decision is 3.40% of the input's length.",
        "With the router's input kept, it would not run at a budget of 0.42.",
        "Of 2 words that can be left out, “never” changes the margin most: by -0.1300, to -0.0200; nine of ten neutral "
        "swaps elsewhere change it by at most 0.0500 (24 swaps).",
        "Without this word the expert would not run.",
        "For the answer “good”, leaving out “never” changes the probability most of 2 words, from 0.900 to 0.880, "
        "which is no more than any edit does: nine of ten neutral swaps elsewhere change it by up to 0.0500 (24 "
        "swaps).",
        "The decision stays the same when the router's input and weights are rounded to bfloat16.",
    ]


def test_what_is_not_known_is_not_said() -> None:
    """Without flip and budget, and with direction marks in the token, the sentences keep to what is there."""
    bare = explanation(token="par\u202ecel", contributions=(), stable_in_bf16=False,
                       flip=Flip(distance=None, relative=None, closed_form=True),
                       budget_flip=BudgetFlip(budget=None, threshold=None))  # fmt: skip
    said = [message.text() for message in paragraph(bare, None)]
    assert said[0].startswith("Expert 1 runs for “par·cel”")
    assert said[1:] == [
        "No budget turns the decision while the router's input stays the same.",
        "The decision turns when the router's input and weights are rounded to bfloat16.",
    ]

"""The cases that the project ships: enough of each kind, nothing twice, both labels."""

from collections import Counter
from pathlib import Path

from moe_core.evaluation.labelled import read_labelled

CASES = Path(__file__).resolve().parents[3] / "data" / "behaviour" / "cases.jsonl"


def test_there_are_three_hundred_different_cases_with_both_labels_in_balance() -> None:
    """A head that always says the same is right in half of them."""
    cases = read_labelled(CASES)
    assert len(set(cases.texts)) == len(cases) >= 300
    share = Counter(cases.labels)["positive"] / len(cases)
    assert set(cases.labels) == {"positive", "negative"}
    assert 0.45 < share < 0.55


def test_every_kind_of_case_is_there_with_enough_texts() -> None:
    """Ten of each at least: fewer say nothing."""
    kinds = Counter(read_labelled(CASES).domains)
    assert min(kinds.values()) >= 10
    assert {"negation", "double_negation", "spelling", "slang", "quoted", "intensity", "temporal", "comparison",
            "irony", "question", "very_short", "emoji", "emoticon", "stretched_words", "leetspeak", "spaced_letters",
            "letter_case", "aside"} <= set(kinds)  # fmt: skip

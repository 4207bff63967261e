"""The cases that the project ships: enough of each kind, nothing twice, both labels."""

import json
from collections import Counter
from pathlib import Path

from moe_core.evaluation.labelled import read_labelled

CASES = Path(__file__).resolve().parents[3] / "data" / "behaviour" / "cases.jsonl"


def test_there_are_a_thousand_different_cases_with_both_labels_in_balance() -> None:
    """A head that always says the same is right in half of them."""
    cases = read_labelled(CASES)
    assert len({" ".join(text.lower().split()) for text in cases.texts}) == len(cases) >= 1000
    share = Counter(cases.labels)["positive"] / len(cases)
    assert set(cases.labels) == {"positive", "negative"}
    assert 0.45 < share < 0.55


def test_every_kind_of_case_is_there_with_enough_texts() -> None:
    """Thirty of each at least: fewer say nothing."""
    kinds = Counter(read_labelled(CASES).domains)
    assert min(kinds.values()) >= 30
    assert {"negation", "double_negation", "spelling", "slang", "quoted", "intensity", "temporal", "comparison",
            "irony", "question", "very_short", "emoji", "emoticon", "stretched_words", "leetspeak", "spaced_letters",
            "letter_case", "aside"} <= set(kinds)  # fmt: skip


def test_no_kind_of_case_but_irony_leans_to_one_label() -> None:
    """Within a kind too, a head that always says the same is right in half of the texts."""
    cases = read_labelled(CASES)
    positive = Counter(kind for kind, label in zip(cases.domains, cases.labels, strict=True) if label == "positive")
    kinds = Counter(cases.domains)
    assert {kind for kind, n in kinds.items() if not 0.45 < positive[kind] / n < 0.55} == {"irony"}


def test_every_case_has_an_id_of_its_own_in_the_order_of_the_file() -> None:
    """An id names one line for good."""
    ids = [json.loads(line)["id"] for line in CASES.read_text(encoding="utf-8").splitlines()]
    assert ids == [f"case-{n:03d}" for n in range(1, len(ids) + 1)]

"""The bundled demo requests: complete, distinct, and balanced as their datasheet says."""

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "data" / "demo"
DOMAINS = {
    "customer_support", "product_reviews", "film_and_books", "travel_and_hotels",
    "banking_and_insurance", "public_services", "health_appointments", "workplace",
}  # fmt: skip
LABELS = {"positive", "negative"}
ATTRIBUTES = {
    "channel": {"email", "chat", "phone note", "review site", "social"},
    "writer": {"native", "second language"},
    "length": {"short", "medium", "long"},
}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    lines = (FOLDER / "requests.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9']+", text.lower()))


def length_name(text: str) -> str:
    """The datasheet's rule: words between spaces, up to 10, 11 to 39, from 40."""
    n = len(text.split())
    return "short" if n <= 10 else "medium" if n < 40 else "long"


def test_ids_and_texts_are_unique_and_every_entry_is_marked_demo(rows: list[dict[str, Any]]) -> None:
    """At least 300 requests, numbered without a gap, none twice, all marked."""
    assert len(rows) >= 300
    assert [row["id"] for row in rows] == [f"demo-{i:04d}" for i in range(1, len(rows) + 1)]
    assert len({row["text"] for row in rows}) == len(rows)
    assert all(row["demo"] is True for row in rows)


def test_keys_and_values_are_the_documented_ones(rows: list[dict[str, Any]]) -> None:
    """Same keys in every entry, known values only, and a length that fits the text."""
    for row in rows:
        assert list(row) == ["id", "text", "domain", "label", "attributes", "demo"], row["id"]
        assert row["domain"] in DOMAINS, row["id"]
        assert row["label"] in LABELS, row["id"]
        assert row["attributes"].keys() == ATTRIBUTES.keys(), row["id"]
        assert all(row["attributes"][name] in allowed for name, allowed in ATTRIBUTES.items()), row["id"]
        assert row["attributes"]["length"] == length_name(row["text"]), row["id"]
        assert row["text"] == row["text"].strip() != "", row["id"]
        assert len(row["text"].split()) <= 100, row["id"]


@pytest.mark.parametrize("domain", sorted(DOMAINS))
def test_labels_and_writers_are_balanced_in_each_domain(rows: list[dict[str, Any]], domain: str) -> None:
    """45 to 55 % positive and 25 to 35 % second language, the latter under either label too."""
    here = [row for row in rows if row["domain"] == domain]
    assert len(here) == len(rows) / len(DOMAINS)
    assert 0.45 <= sum(row["label"] == "positive" for row in here) / len(here) <= 0.55
    for label in LABELS:
        writers = [row["attributes"]["writer"] for row in here if row["label"] == label]
        assert 0.25 <= writers.count("second language") / len(writers) <= 0.35


@pytest.mark.parametrize("attribute", ["channel", "length"])
def test_no_attribute_predicts_the_label_or_the_writer(rows: list[dict[str, Any]], attribute: str) -> None:
    """Within each channel and length, labels and writers are mixed like in the whole: no planted group difference."""
    for value in ATTRIBUTES[attribute]:
        here = [row for row in rows if row["attributes"][attribute] == value]
        assert 0.45 <= sum(row["label"] == "positive" for row in here) / len(here) <= 0.55, value
        assert 0.25 <= sum(row["attributes"]["writer"] == "second language" for row in here) / len(here) <= 0.35, value


def test_no_two_texts_are_near_copies(rows: list[dict[str, Any]]) -> None:
    """No pair shares more than 0.7 of its words (Jaccard similarity)."""
    sets = [(row["id"], words(row["text"])) for row in rows]
    close = [(a, b) for (a, x), (b, y) in combinations(sets, 2) if len(x & y) > 0.7 * len(x | y)]
    assert not close


def test_the_datasheet_states_the_counts_of_the_file(rows: list[dict[str, Any]]) -> None:
    """Every table line of DATASHEET.md (positive and negative, native and second language) is counted again."""
    sheet = (FOLDER / "DATASHEET.md").read_text(encoding="utf-8")
    cells = Counter()
    for row in rows:
        for group in (row["domain"], *(row["attributes"][name] for name in ("channel", "length")), "total"):
            cells[group, row["label"], row["attributes"]["writer"]] += 1
    for group in {group for group, _, _ in cells}:
        numbers = [cells[group, label, writer] for label in ("positive", "negative")
                   for writer in ("native", "second language")]  # fmt: skip
        line = f"| {group} | {' | '.join(map(str, numbers))} | {sum(numbers)} |"
        assert line in sheet, line
    assert "Apache-2.0" in sheet

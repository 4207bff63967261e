"""Labelled tasks and their split."""

import json
from pathlib import Path

import pytest

from moe_core.errors import SourceError
from moe_core.sources.passages import normalise
from moe_core.sources.tasks import TASKS, Row, build_task, split_rows, task_rows


def _rows(*texts: str) -> list[Row]:
    return [Row(text=text, label="a", domain="d") for text in texts]


def test_copies_of_a_text_stay_on_one_side_and_are_dropped() -> None:
    """However a text is written, it appears once, in train or in test."""
    texts = [f"message number {number}" for number in range(200)]
    rows = _rows(*texts, *(text.upper() for text in texts), *(f" {text}  " for text in texts))
    sides = split_rows(iter(rows))
    train = {normalise(row.text) for row in sides["train"]}
    test = {normalise(row.text) for row in sides["test"]}
    assert not train & test
    assert len(sides["train"]) + len(sides["test"]) == 200
    assert 20 <= len(test) <= 60


def test_the_split_does_not_depend_on_the_order() -> None:
    """The side of a text follows from the text alone."""
    rows = _rows(*(f"text {number}" for number in range(50)))
    forward, backward = split_rows(iter(rows)), split_rows(reversed(rows))
    assert {row.text for row in forward["test"]} == {row.text for row in backward["test"]}


def test_a_given_split_is_kept_and_test_wins() -> None:
    """A text in both parts of a given split stays in test only."""
    rows = [
        Row(text="Same words", label="a", domain="d", split="train"),
        Row(text="same WORDS", label="a", domain="d", split="test"),
        Row(text="other words", label="a", domain="d", split="train"),
    ]
    sides = split_rows(iter(rows))
    assert [row.text for row in sides["train"]] == ["other words"]
    assert [row.text for row in sides["test"]] == ["same WORDS"]


@pytest.mark.parametrize("name", list(TASKS))
def test_every_task_can_be_built(name: str, tiny_cache: Path, tmp_path: Path) -> None:
    """Both files exist, ids are unique, and each line has an id, a text, a label and a domain."""
    summary = build_task(name, tiny_cache, tmp_path / "tasks")
    ids = []
    for side in ("train", "test"):
        lines = (tmp_path / "tasks" / name / f"{side}.jsonl").read_text("utf-8").splitlines()
        records = [json.loads(line) for line in lines]
        assert len(records) == summary[side] == sum(summary[f"{side}_labels"].values())
        for record in records:
            assert set(record) == {"id", "text", "label", "domain"}
            ids.append(record["id"])
    assert len(ids) == len(set(ids)) > 0


def test_ambiguous_ratings_are_left_out(tiny_cache: Path) -> None:
    """A mean rating between -0.5 and 0.5 gives no row; the others follow their sign."""
    sides = task_rows("sentiment", tiny_cache)
    rows = sides["train"] + sides["test"]
    assert len(rows) == 8
    assert {row.domain for row in rows} == {"films", "products", "editorials", "tweets"}
    assert all(("best" in row.text) == (row.label == "positive") for row in rows)


def test_merged_messages_are_taken_apart(tiny_cache: Path) -> None:
    """A record that swallowed the next one gives two messages, each with its own label."""
    sides = task_rows("spam", tiny_cache)
    labels = {row.text: row.label for row in sides["train"] + sides["test"]}
    assert labels["first of the merged ones"] == "ham"
    assert labels["second of the merged ones"] == "spam"


def test_mail_rows_have_no_headers(tiny_cache: Path) -> None:
    """The text of a mail is its body, and its label comes from its folder."""
    sides = task_rows("mail_spam", tiny_cache)
    for row in sides["train"] + sides["test"]:
        assert "Subject" not in row.text
        assert row.label == ("spam" if row.domain == "spam-1" else "ham")


def test_an_unknown_task_is_refused(tiny_cache: Path) -> None:
    """A wrong task name is answered with the names that exist."""
    with pytest.raises(SourceError, match="use one of sentiment, spam"):
        task_rows("poetry", tiny_cache)


def test_unexpected_files_are_explained(tiny_cache: Path) -> None:
    """When a file of the package is not there, the message says what to do."""
    next(tiny_cache.rglob("sms-spam.csv")).unlink()
    with pytest.raises(SourceError, match="not as expected"):
        task_rows("spam", tiny_cache)

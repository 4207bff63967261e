"""The task `source`: kinds of text, whole documents apart."""

import json
from pathlib import Path
from typing import Any

import pytest

from moe_core.errors import SourceError
from moe_core.sources.build import get
from moe_core.sources.source_task import TEST_PER_KIND, TRAIN_PER_KIND


def write(path: Path, texts: dict[str, list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"text": text, "domain": kind, "doc": kind} for kind, all_of in texts.items() for text in all_of]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def rows_of(cache: Path, side: str) -> list[dict[str, Any]]:
    lines = (cache / "tasks" / "source" / f"{side}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def many(kind: str, n: int, start: int = 0) -> list[str]:
    return [f"{kind} text number {i}" for i in range(start, start + n)]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Two kinds with enough held-out texts, one with too few, and disturbed copies."""
    write(tmp_path / "corpus" / "heldout.jsonl",
          {"mail": many("mail", 90), "drama": many("drama", 50), "policy": many("policy", 3)})  # fmt: skip
    write(tmp_path / "corpus" / "train.jsonl",
          {"mail": many("mail", 300, 60), "drama": many("drama", 100, 1000), "policy": many("policy", 99, 1000),
           "misspelt": many("misspelt", 99)})  # fmt: skip
    return tmp_path


def test_kinds_with_enough_heldout_texts_take_part_in_equal_numbers(cache: Path) -> None:
    """A kind with three held-out texts cannot be measured; disturbed copies are no kind; big kinds are cut."""
    summary = get("source", cache)
    assert summary["test_labels"] == {"drama": 50, "mail": TEST_PER_KIND}
    assert summary["train_labels"] == {"drama": 100, "mail": TRAIN_PER_KIND}
    assert {row["label"] for row in rows_of(cache, "train")} == {"mail", "drama"}
    assert all(row["label"] == row["domain"] for row in rows_of(cache, "test"))


def test_no_text_of_the_test_side_is_trained_on(cache: Path) -> None:
    """Thirty mails stand in both files of the corpus: those that test took are not in train."""
    get("source", cache)
    train, test = ({row["id"] for row in rows_of(cache, side)} for side in ("train", "test"))
    assert not train & test


def test_the_choice_follows_from_the_texts_and_not_from_their_order(cache: Path) -> None:
    """The same corpus in another order gives the same task, byte by byte."""
    get("source", cache)
    before = (cache / "tasks" / "source" / "train.jsonl").read_bytes()
    path = cache / "corpus" / "train.jsonl"
    path.write_text("".join(f"{line}\n" for line in reversed(path.read_text().splitlines())))
    get("source", cache)
    assert before == (cache / "tasks" / "source" / "train.jsonl").read_bytes()


def test_a_missing_or_damaged_corpus_ends_in_one_sentence(cache: Path, tmp_path: Path) -> None:
    """The sentence names the file and the command that makes it."""
    with pytest.raises(SourceError, match=r"heldout.jsonl cannot be read.*data get corpus"):
        get("source", tmp_path / "elsewhere")
    with (cache / "corpus" / "heldout.jsonl").open("a") as stream:
        stream.write("{broken\n")
    with pytest.raises(SourceError, match=r"line 144 is damaged"):
        get("source", cache)
    write(cache / "corpus" / "heldout.jsonl", {"mail": many("mail", 90)})
    with pytest.raises(SourceError, match="has 1 kinds of text"):
        get("source", cache)

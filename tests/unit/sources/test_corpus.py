"""Building the corpus: what is held out stays out of training."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from moe_core.sources import corpus
from moe_core.sources.corpus import build_corpus
from moe_core.sources.documents import READERS
from moe_core.sources.extras import Extra
from moe_core.sources.passages import normalise
from moe_core.sources.tasks import TASKS, task_rows


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _extra(tmp_path: Path, texts: list[str], name: str = "extra.jsonl") -> Extra:
    path = tmp_path / name
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    return Extra(path=path, domain="extra", source="mine", style="whole")


@pytest.fixture
def many(tmp_path: Path) -> Extra:
    """Return a local file of 200 documents."""
    return _extra(tmp_path, [f"This is the text number {number}." for number in range(200)])


def test_two_percent_of_the_documents_are_held_out(tiny_cache: Path, tmp_path: Path, many: Extra) -> None:
    """Of 200 documents four are held out as a whole, and none of them is in training."""
    build_corpus(tiny_cache, tmp_path / "out", [many])
    heldout = {row["doc"] for row in _read(tmp_path / "out" / "heldout.jsonl")}
    train = {row["doc"] for row in _read(tmp_path / "out" / "train.jsonl")}
    assert len({doc for doc in heldout if doc.startswith("mine/")}) == 4
    assert not heldout & train


def test_heldout_texts_are_never_in_training(tiny_cache: Path, tmp_path: Path, many: Extra) -> None:
    """A copy of a held-out text in another document is dropped from training."""
    build_corpus(tiny_cache, tmp_path / "first", [many])
    held = [row["text"] for row in _read(tmp_path / "first" / "heldout.jsonl")]
    copies = _extra(tmp_path, [text.upper() for text in held] * 20, "copies.jsonl")
    build_corpus(tiny_cache, tmp_path / "second", [many, copies])
    heldout = {normalise(row["text"]) for row in _read(tmp_path / "second" / "heldout.jsonl")}
    train = {normalise(row["text"]) for row in _read(tmp_path / "second" / "train.jsonl")}
    assert {normalise(text) for text in held} <= heldout
    assert not heldout & train


def test_test_rows_of_a_task_are_never_in_the_corpus(tiny_cache: Path, tmp_path: Path) -> None:
    """Test rows are kept out even when a local file repeats them word for word."""
    test = [row.text for name in TASKS for row in task_rows(name, tiny_cache)["test"]]
    assert test
    build_corpus(tiny_cache, tmp_path / "out", [_extra(tmp_path, test)])
    for name in ("train.jsonl", "heldout.jsonl"):
        texts = {normalise(row["text"]) for row in _read(tmp_path / "out" / name)}
        assert not texts & {normalise(text) for text in test}


def test_no_text_is_repeated(tiny_cache: Path, tmp_path: Path) -> None:
    """Exact repeats are dropped, whatever their case and spacing."""
    extra = _extra(tmp_path, ["The same text here.", "the  SAME text here."] * 50)
    build_corpus(tiny_cache, tmp_path / "out", [extra])
    for name in ("train.jsonl", "heldout.jsonl"):
        texts = [normalise(row["text"]) for row in _read(tmp_path / "out" / name)]
        assert len(texts) == len(set(texts))


def test_counts_agree_with_the_files(tiny_cache: Path, tmp_path: Path, many: Extra) -> None:
    """The returned counts are the numbers of lines, and each line has its four fields."""
    counts = build_corpus(tiny_cache, tmp_path / "out", [many])
    for side in ("train", "heldout"):
        rows = _read(tmp_path / "out" / f"{side}.jsonl")
        assert sum(counts[side].values()) == len(rows)
        assert all(set(row) == {"text", "domain", "source", "doc"} for row in rows)
    assert counts["train"]["extra"] == 196


def test_the_corpus_is_the_same_each_time(tiny_cache: Path, tmp_path: Path, many: Extra) -> None:
    """Two builds from the same sources give the same bytes."""
    for name in ("one", "two"):
        build_corpus(tiny_cache, tmp_path / name, [many])
    for name in ("train.jsonl", "heldout.jsonl", "sources.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_every_source_is_credited(tiny_cache: Path, tmp_path: Path, many: Extra) -> None:
    """The list of sources names each source in training with its licence, for the model card."""
    counts = build_corpus(tiny_cache, tmp_path / "out", [many])
    listed = json.loads((tmp_path / "out" / "sources.json").read_text(encoding="utf-8"))
    assert {entry["name"]: entry["texts"] for entry in listed} == counts["sources"]
    assert all(entry["licence"] for entry in listed)


def test_a_capped_source_stops_in_time(tiny_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source with a cap gives no further document once its bytes are used up."""
    verses = [{"book": f"Book {n}", "text": f"And verse {n} is read."} for n in range(100)]
    path = next(tiny_cache.rglob("kjv.jsonl"))
    path.write_text("".join(json.dumps(verse) + "\n" for verse in verses), encoding="utf-8")
    free = build_corpus(tiny_cache, tmp_path / "free")
    capped = [replace(reader, cap_bytes=1000) if reader.source == "kjv" else reader for reader in READERS]
    monkeypatch.setattr(corpus, "READERS", capped)
    bound = build_corpus(tiny_cache, tmp_path / "bound")
    assert (free["train"]["scripture"], free["heldout"]["scripture"]) == (98, 2)
    assert 5 < bound["train"]["scripture"] < 20
    assert bound["heldout"]["scripture"] == 1

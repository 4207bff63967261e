"""Texts from files to token ids: what is read, what is refused, and ids that stay inside the vocabulary."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from moe_core.errors import InputError
from moe_core.model.text_batches import BatchConfig, batches, tokenize_corpus, tokenize_texts
from tests.unit.toy_encoder import MARKS, WORDS, toy_tokenizer


def test_texts_are_read_from_three_kinds_of_file(tmp_path: Path) -> None:
    """JSON lines with or without `domain`, CSV and plain text give the same ids."""
    (tmp_path / "a.jsonl").write_text('{"text": "the parcel", "domain": "mail"}\n\n{"text": "good"}\n')
    (tmp_path / "a.csv").write_text("text\nthe parcel\ngood\n")
    (tmp_path / "a.txt").write_text("the parcel\ngood\n")
    first, *others = (tokenize_corpus(tmp_path / f"a.{kind}", toy_tokenizer()) for kind in ("jsonl", "csv", "txt"))
    assert first.domains == ("mail", "text")
    for other in others:
        assert other.domains == ("text",)
        assert [other.text(i, 9) for i in range(2)] == [first.text(i, 9) for i in range(2)]


@pytest.mark.parametrize("line", ["{", "[1]", '{"body": "x"}'])
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    """Number of the line, and what is expected."""
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "good"}}\n{line}\n')
    with pytest.raises(InputError, match="line 2: not a JSON object with the key `text`"):
        tokenize_corpus(path, toy_tokenizer())


def test_large_vocabularies_keep_their_ids() -> None:
    """Ids above 65,535 do not wrap around."""
    tokenizer = toy_tokenizer()
    tokenizer.add_tokens([f"made{i}" for i in range(70_000)])
    texts = tokenize_texts([f"made{i} the" for i in range(69_000, 69_200)], ["x"] * 200, tokenizer)
    assert texts.ids.dtype == np.uint32
    assert int(texts.ids.max()) == len(MARKS) + len(WORDS) + 69_199
    assert tokenize_texts(["the"], ["x"], toy_tokenizer()).ids.dtype == np.uint16


def test_disturbed_texts_hold_only_ids_of_the_vocabulary() -> None:
    """Replaced words are drawn from the tokenizer's own, whatever its size; texts of one token stay."""
    texts = tokenize_texts(["the parcel never arrived"] * 60, ["x"] * 60, toy_tokenizer())
    drawn = itertools.islice(batches(texts, BatchConfig(tokens=128, max_tokens=16, noise=1.0), seed=0), 20)
    seen = {token for rows in drawn for row in rows for token in row}
    assert len(seen) > 6
    assert max(seen) < len(MARKS) + len(WORDS)
    short = tokenize_texts(["the"] * 60, ["x"] * 60, toy_tokenizer(template=False))
    assert {tuple(row) for row in next(batches(short, BatchConfig(tokens=8, noise=1.0), seed=0))} == {(5,)}


def test_a_subset_keeps_texts_and_kinds() -> None:
    """Chosen texts in the order asked for; none at all is allowed."""
    texts = tokenize_texts(["the", "parcel never", "good"], ["a", "b", "a"], toy_tokenizer())
    part = texts.subset([2, 1])
    assert [part.text(i, 9) for i in range(2)] == [texts.text(2, 9), texts.text(1, 9)]
    assert part.domain_N.tolist() == [0, 1]
    assert len(texts.subset([])) == 0

"""Word classes by simple rules, places in words, words learned from texts, features of tokens."""

import numpy as np
import pytest

from moe_core.analysis.specialization.features import token_features
from moe_core.analysis.specialization.settings import SpecializationSettings
from moe_core.analysis.specialization.word_classes import (
    Vocabulary,
    classes_of,
    places_in_words,
    word_class,
    words_of_texts,
)
from tests.unit.analysis.specialization.simulate import PIECES, World, sample_of


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("42", "number"), ("3.5", "number"), ("1,000", "number"), ("½", "number"), ("7th", "word"),
        (",", "punctuation"),
        ("...", "punctuation"), ("the", "function"), ("The", "function"), ("NASA", "upper"), ("Berlin", "capitalised"),
        ("parcel", "word"), ("[CLS]", "special"), ("</s>", "special"), ("<|end|>", "special"), ("[", "punctuation"),
        ("東", "cjk"), ("カ", "cjk"), ("ひ", "cjk"), ("étude", "word"), ("", "punctuation"),
    ],
)  # fmt: skip
def test_a_word_has_one_class(word: str, expected: str) -> None:
    """By its characters alone."""
    assert word_class(word) == expected


@pytest.mark.parametrize(
    ("pieces", "mark", "starts"),
    [
        pytest.param(["play", "##ing", "the", "##s"], "##", [True, False, True, False], id="WordPiece"),
        pytest.param(["▁play", "ing", "▁the", "s"], "▁", [True, False, True, False], id="SentencePiece"),
        pytest.param(["Ġplay", "ing", "Ġthe", "s"], "Ġ", [True, False, True, False], id="byte-level BPE"),
        pytest.param(["play", "ing", "the", "s"], None, [True] * 4, id="whole words"),
    ],
)
def test_marks_of_word_starts_are_seen_from_the_pieces(pieces: list[str], mark: str | None, starts: list[bool]) -> None:
    """The mark is cut off before a class is told."""
    vocabulary = Vocabulary.of(dict(enumerate(pieces)))
    assert vocabulary.mark == mark
    assert [vocabulary.starts_word(i) for i in range(4)] == starts
    assert [vocabulary.word(i) for i in range(4)] == ["play", "ing", "the", "s"]


def test_a_split_word_has_a_first_piece_and_continuations() -> None:
    """play ##ing , the | ##s: the last piece begins another document, whose first word it continues."""
    vocabulary = Vocabulary.of(dict(enumerate(["play", "##ing", ",", "the", "##s"])))
    ids, document = np.arange(5), np.array([0, 0, 0, 0, 1])
    classes = classes_of(vocabulary, ids, np.zeros(5, bool))
    assert places_in_words(vocabulary, classes, ids, document).tolist() == [
        "start", "continuation", None, "whole", "continuation",
    ]  # fmt: skip


def test_words_are_learned_only_where_every_token_is_one() -> None:
    """20 texts of one token a word: learned. One id for two words, or other numbers of tokens: not."""
    texts = [f"a{i % 5} b{i % 3}" for i in range(20)]
    number = {word: i for i, word in enumerate(sorted({w for text in texts for w in text.split()}))}
    ids = [np.array([number[w] for w in text.split()]) for text in texts]
    assert words_of_texts(texts, ids) == {i: word for word, i in number.items()}
    assert words_of_texts(texts, [np.append(each, 0) for each in ids]) == {}
    assert words_of_texts(texts, [each * 0 for each in ids]) == {}
    assert words_of_texts(texts[:10], ids[:10]) == {}


def test_positions_are_first_last_and_tenths() -> None:
    """Every document has one first and one last word; a text of fewer than ten words has no tenths."""
    sample = sample_of(World(documents=40), 0)
    features = token_features(sample, Vocabulary.of(PIECES), SpecializationSettings())
    count = dict(zip(features.features, np.bincount(features.feature_P), strict=True))
    assert count["position", "first"] == count["position", "last"] == 40
    size = np.bincount(sample.document_T)
    assert sum(n for (kind, _), n in count.items() if kind == "decile") == size[size >= 10].sum()
    assert sum(n for (kind, _), n in count.items() if kind == "class") == sample.n_tokens

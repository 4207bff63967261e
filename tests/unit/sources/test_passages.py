"""Cutting clean text into short English texts."""

import pytest

from moe_core.sources.passages import (
    MAX_WORDS,
    MIN_WORDS,
    Style,
    cut,
    is_english_text,
    normalise,
    sentences,
    stable_number,
    tidy,
)

PARAGRAPH = " ".join(f"This is the sentence number {number} of them." for number in range(60))


def test_abbreviations_do_not_end_a_sentence() -> None:
    """Titles, initials and the like stay inside their sentence; quotes close with it."""
    text = 'Dr. J. Smith came, e.g. by train. He said "No." Then he left.'
    assert sentences(text) == [
        "Dr. J. Smith came, e.g. by train.",
        'He said "No."',
        "Then he left.",
    ]


@pytest.mark.parametrize("style", ["prose", "whole", "words"])
def test_every_text_has_3_to_80_words(style: Style) -> None:
    """However a long block is cut, each text keeps within the bounds."""
    endless = "the word and " * 200
    for text in cut([PARAGRAPH, endless, "Too short"], style):
        assert MIN_WORDS <= len(text.split()) <= MAX_WORDS


def test_prose_gives_single_sentences_and_passages() -> None:
    """A paragraph gives a mix of lengths, and loses no sentence."""
    texts = list(cut([PARAGRAPH], "prose"))
    counts = {text.count(".") for text in texts}
    assert 1 in counts
    assert max(counts) > 1
    assert " ".join(texts) == PARAGRAPH


def test_the_same_text_is_always_cut_the_same_way() -> None:
    """Cutting depends on the text alone, so a corpus can be built again."""
    assert list(cut([PARAGRAPH], "prose")) == list(cut([PARAGRAPH], "prose"))
    assert stable_number("routing") == 18187350236412584074


def test_whole_texts_stay_whole() -> None:
    """A turn of a dialogue is not split into its sentences."""
    assert list(cut(["Yes. It is here. Thank you."], "whole")) == ["Yes. It is here. Thank you."]


@pytest.mark.parametrize(
    "text",
    [
        "for (i = 0; i < n; i++) { total += a[i]; }",
        "0x1f 0x2e 0x3d 0x4c 0x5b 0x6a | 17 | 18 | 19",
        "Der schnelle braune Fuchs springt heute wieder einmal durch Wald und Wiese",
        "これは 日本語 の 文 です",
        "a" * 60 + " is the longest word of them",
    ],
)
def test_code_tables_and_other_languages_are_dropped(text: str) -> None:
    """What does not look like English words does not reach the corpus."""
    assert not is_english_text(text)


@pytest.mark.parametrize("text", ["u free 2nite? txt me", "48/2 = 24 clips in May", "Open the window", "café is open"])
def test_messages_and_sums_are_english_too(text: str) -> None:
    """Short messages, worked sums and fragments are kept."""
    assert is_english_text(text)


def test_texts_that_differ_in_form_only_are_the_same() -> None:
    """Case, spaces and full-width letters do not make a new text."""
    assert normalise(" The  CAT\n") == normalise("the cat") == normalise("\uff34he cat")


def test_tidy_keeps_the_words() -> None:
    """Quotes become plain, control characters and runs of spaces one space."""
    assert tidy("\u201cIt\u2019s\x07 a\n``test''\u201d") == '"It\'s a "test""'

"""Disturbed texts: never empty, a function of the seed, and different from what they were made of."""

import random

from hypothesis import given
from hypothesis import strategies as st

from moe_core.sources.misspell import CHANGES, misspelt, misspelt_texts

TEXT = "The parcel never arrived, and nobody at the office answers my letters."


@given(st.text(min_size=1), st.integers(0, 10_000))
def test_any_text_can_be_disturbed(text: str, seed: int) -> None:
    """One letter, blanks, other scripts: no error, and something is left of every text."""
    assert misspelt(text, random.Random(seed))


def test_every_kind_of_disturbance_changes_ordinary_prose() -> None:
    """Among 20 seeds each change does something at least once."""
    for change in CHANGES:
        assert any(change("You are really " + TEXT, random.Random(seed)) != TEXT for seed in range(20))


def test_the_same_seed_gives_the_same_texts() -> None:
    """And another seed gives others; long texts are cut at a word."""
    first = list(misspelt_texts([TEXT, TEXT * 5], 30, seed=1))
    assert first == list(misspelt_texts([TEXT, TEXT * 5], 30, seed=1))
    assert first != list(misspelt_texts([TEXT, TEXT * 5], 30, seed=2))
    assert max(map(len, first)) < 1200
    assert list(misspelt_texts([], 30, seed=1)) == []

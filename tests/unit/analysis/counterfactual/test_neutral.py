"""Neutral words for an edit of one's own: where they go, which are proposed, what they show."""

import numpy as np
import pytest

from moe_core.analysis.counterfactual.alignment import edits
from moe_core.analysis.counterfactual.changes import compare
from moe_core.analysis.counterfactual.neutral import (
    against_neutral,
    given_words,
    neutral_texts,
    proposed_words,
    replaced,
)
from moe_core.analysis.counterfactual.templates import parse_templates
from tests.unit.analysis.counterfactual.build import routed
from tests.unit.analysis.counterfactual.test_templates import SLOT, TEMPLATE, lines


def test_neutral_words_stand_where_the_first_word_was_replaced() -> None:
    """Later edits, such as a pronoun, keep the wording of the first text."""
    before = "Emily lost her bag."
    place = replaced(edits(before, "Peter lost his bag."))
    assert place is not None
    assert neutral_texts(before, place, ["Laura", "My aunt"]) == ["Laura lost her bag.", "My aunt lost her bag."]
    assert replaced(edits("a box", "a red box")) is None


def test_white_space_around_the_word_is_kept() -> None:
    """An edit of several words holds the space between them, not the space around."""
    before = "a red big box"
    place = replaced(edits(before, "a blue small box"))
    assert place is not None
    assert neutral_texts(before, place, ["tin"]) == ["a tin box"]


def test_words_of_the_same_group_are_proposed() -> None:
    """Upper and lower case do not matter; a word of no list has none."""
    wordings = parse_templates(lines(SLOT, TEMPLATE), "f")
    (edit,) = edits("The Poodle sat", "The siamese sat")
    assert proposed_words(edit, wordings) == ["beagle"]
    (edit,) = edits("The horse sat", "The siamese sat")
    assert proposed_words(edit, wordings) == []


def test_given_words_are_taken_without_repeats_and_without_the_edit_itself() -> None:
    """Japanese commas count too."""
    (edit,) = edits("The poodle sat", "The cat sat")
    assert given_words(" pug, Cat, poodle、 beagle,pug,, ", edit) == ["pug", "beagle"]


def test_the_floor_is_mean_smallest_and_largest() -> None:
    """Two neutral swaps that change 0 and 1 of two tokens; none at all gives not-a-number."""
    text = routed("the dog sat", [[[0], [1], [2]]])
    edit = compare(text, routed("the cat sat", [[[0], [1], [3]]]))
    same, other = routed("the pug sat", [[[0], [1], [2]]]), routed("the fox sat", [[[0], [1], [1]]])
    frame = against_neutral(edit, [compare(text, same), compare(text, other)])
    assert frame.iloc[0].tolist() == pytest.approx([0, 2, 1, 0.5, 0.25, 0, 0.5])
    assert np.isnan(against_neutral(edit, [])["neutral"]).all()

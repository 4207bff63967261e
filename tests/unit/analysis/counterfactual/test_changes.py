"""Two texts side by side: aligned by characters, swapped words apart, changed decisions counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_core.analysis.counterfactual.alignment import align, edits, equal_blocks
from moe_core.analysis.counterfactual.changes import changed_decisions, compare, layer_changes
from moe_core.analysis.counterfactual.pairs import pair_changes
from moe_core.analysis.counterfactual.templates import Wordings
from moe_core.errors import AuditError
from tests.unit.analysis.counterfactual.build import routed

BEFORE = routed("the poodle sat down", [[[0], [1], [2], [3]], [[0, 1], [1], [1], [1]]])
AFTER = routed("the cat sat down", [[[0], [2], [2, 3], [3]], [[0], [1], [2], [1]]], label="bad", p=0.3)


def test_changed_decisions_are_counted_for_shared_words_only() -> None:
    """Shared: the, sat, down. Layer 0: sat gains expert 3. Layer 1: the loses 1; sat changes 1 for 2. The swapped word
    is not compared, though its experts differ too."""
    change = compare(BEFORE, AFTER)
    assert change.alignment.left_P == (1, 3, 4)
    assert change.alignment.swapped_left == change.alignment.swapped_right == (2,)
    assert layer_changes(change)["changed"].tolist() == [1, 2]
    assert layer_changes(change)["tokens"].tolist() == [3, 3]
    assert change.share == 0.5
    rows = changed_decisions(change)
    assert list(rows[["token", "layer", "expert_id", "change"]].itertuples(index=False, name=None)) == [
        ("the", 1, 1, "stopped"),
        ("sat", 0, 3, "started"),
        ("sat", 1, 1, "stopped"),
        ("sat", 1, 2, "started"),
    ]
    assert not change.same_answer


def test_a_text_compared_with_itself_changes_nothing() -> None:
    """No edit, no changed decision, every ordinary token aligned."""
    change = compare(BEFORE, BEFORE)
    assert change.share == 0
    assert change.edits == []
    assert changed_decisions(change).empty
    assert len(change.alignment.left_P) == 4


def test_a_longer_word_shifts_positions_and_not_the_alignment() -> None:
    """A name of two tokens: later tokens are found at their characters, not at their position."""
    spans_one = [(0, 0), (0, 3), (4, 7), (8, 11), (0, 0)]  # Ann saw you
    spans_two = [(0, 0), (0, 3), (3, 6), (7, 10), (11, 14), (0, 0)]  # Lat|oya saw you
    special = [True, False, False, False, True]
    blocks = equal_blocks("Ann saw you", "Latoya saw you")
    found = align(spans_one, special, spans_two, [True, *[False] * 4, True], blocks)
    assert found.left_P == (2, 3)
    assert found.right_P == (3, 4)
    assert found.swapped_left == (1,)
    assert found.swapped_right == (1, 2)


def test_an_edit_is_a_stretch_of_words() -> None:
    """Neighbouring changed words are one edit; a changed word further on is a second one."""
    found = edits("She lost her bag today", "My uncle lost his bag today")
    assert [(e.old, e.new) for e in found] == [("She", "My uncle"), ("her", "his")]
    assert "She lost her bag today"[slice(*found[1].old_span)] == "her"
    assert [(e.old, e.new) for e in edits("彼は来た", "彼女は来た")] == [("", "女")]
    assert [(e.old, e.new) for e in edits("a red big box", "a blue small box")] == [("red big", "blue small")]


@given(st.text(max_size=40), st.text(max_size=40))
def test_blocks_hold_the_same_characters(left: str, right: str) -> None:
    """Whatever the texts, a block is a stretch that both share, in rising order."""
    end_left = end_right = 0
    for a, b, length in equal_blocks(left, right):
        assert left[a : a + length] == right[b : b + length]
        assert a >= end_left
        assert b >= end_right
        end_left, end_right = a + length, b + length


def test_all_pairs_of_a_template_by_hand() -> None:
    """Three wordings, two groups: rates per layer, label, score and experts per aligned token of every pair."""
    third = routed("the pug sat down", [[[0], [0], [2], [3]], [[0, 1], [0], [1], [1]]])
    wordings = Wordings(
        template="t", attribute="pet", groups=("dog", "cat"), group_N=(0, 0, 1), words_N=("poodle", "pug", "cat"),
        texts_N=(BEFORE.text, third.text, AFTER.text), shared=True,
    )  # fmt: skip
    found = pair_changes(wordings, [BEFORE, third, AFTER], "good")
    assert found.n_layers == 2
    np.testing.assert_allclose(found.values_MP[:2], [[0, 1 / 3, 1 / 3], [0, 2 / 3, 2 / 3]])
    np.testing.assert_allclose(found.values_MP[2], [0, 1, 1])
    np.testing.assert_allclose(found.values_MP[3], [0, 0.5, 0.5])
    np.testing.assert_allclose(found.values_MP[4], [0, 0, 0], atol=1e-12)  # 7 experts over 3 tokens in 2 layers
    np.testing.assert_allclose(found.fills_FN[0], [0.8, 0.8, 0.3])
    np.testing.assert_allclose(found.fills_FN[2], [4, 4, 4])
    np.testing.assert_allclose(found.swapped_N, [1, 1, 1])
    assert found.same_P.all()


def test_wordings_without_a_shared_word_are_refused() -> None:
    """Nothing could be compared, and the sentence says so."""
    other = routed("no", [[[0]], [[0]]])
    wordings = Wordings(template="t", attribute="a", groups=("x", "y"), group_N=(0, 1), words_N=("p", "q"),
                        texts_N=(BEFORE.text, other.text), shared=False)  # fmt: skip
    with pytest.raises(AuditError, match="share no word"):
        pair_changes(wordings, [BEFORE, other], "good")

"""The counterfactual lab: two texts compared, neutral swaps beside them, nothing recorded."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.conftest import HOSTILE, Open, texts_of


def compare(at: AppTest, before: str, after: str, neutral: str = "") -> AppTest:
    """Fill the form and send it."""
    at.text_area(key="lab_before").set_value(before)
    at.text_area(key="lab_after").set_value(after)
    at.text_input(key="lab_neutral").set_value(neutral)
    return at.button[0].click().run()


def numbers(at: AppTest) -> dict[str, str]:
    return {metric.label: str(metric.value) for metric in at.metric}


def test_an_edit_is_shown_against_neutral_swaps_and_nothing_is_recorded(open_page: Open, missing_store: Path) -> None:
    """Both answers, the share of changed choices with its n, and the neutral words that were used."""
    at = compare(open_page(missing_store, "counterfactual_lab"), "the parcel never arrived", "the box never arrived",
                 "bad, good, box, bad")  # fmt: skip
    assert not at.exception
    found = numbers(at)
    assert list(found) == ["Answer", "Changed choices", "Neutral swaps", "Expert compute"]
    said = texts_of(at)
    assert "6 choices: 3 tokens in 2 layers" in said
    assert "n\u00a0=\u00a02 swaps" in said
    assert any(text.value == "bad, good" for text in at.text)
    assert "in neutral swaps" in at.title[0].value
    assert not missing_store.exists()


def test_the_table_holds_what_ran_in_one_text_only(open_page: Open, missing_store: Path) -> None:
    """As many rows as decisions changed; every row names an unchanged token."""
    at = compare(open_page(missing_store, "counterfactual_lab"), "the parcel never arrived", "the box never arrived")
    rows = at.dataframe[1].value
    assert set(rows["Token"]) <= {"the", "never", "arrived"}
    assert set(rows["Change"]) <= {"runs now", "no longer runs"}
    edit = at.dataframe[0].value
    assert (edit["First text"].iloc[0], edit["Second text"].iloc[0]) == ("parcel", "box")
    assert numbers(at)["Neutral swaps"] == "—"


def test_words_of_the_shipped_lists_are_proposed(open_page: Open, missing_store: Path) -> None:
    """Emily stands in a list: other women's names are swapped in without being typed."""
    at = compare(open_page(missing_store, "counterfactual_lab", "ja"), "the box Emily", "the box Jamal")
    assert not at.exception
    assert any("Laura" in text.value and "Emily" not in text.value for text in at.text)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        pytest.param("the box", "the box", "Both texts are the same", id="equal"),
        pytest.param("", "the box", "empty", id="empty"),
        pytest.param("the box", "bad parcel", "share no word", id="nothing in common"),
        pytest.param("box " * 200, "bad " + "box " * 200, "tokens", id="too long"),
    ],
)
def test_texts_that_cannot_be_compared_are_one_sentence(
    open_page: Open, missing_store: Path, before: str, after: str, words: str
) -> None:
    """The form stays, the panel says what is wrong, and no earlier result is left standing."""
    at = compare(open_page(missing_store, "counterfactual_lab"), before, after)
    assert not at.exception
    assert any(words in text.value for text in at.text), texts_of(at)
    assert not at.metric
    assert at.text_area(key="lab_before")


def test_foreign_text_stays_text(open_page: Open, missing_store: Path) -> None:
    """Markup in the edit and in neutral words appears in tables and plain text only."""
    at = compare(open_page(missing_store, "counterfactual_lab"), "the box late", f"the {HOSTILE} late", HOSTILE + "y")
    assert not at.exception
    assert not any("<img" in m.value for m in [*at.markdown, *at.caption, *at.title, *at.header])

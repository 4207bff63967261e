"""Template files: what the shipped ones hold, and one clear sentence for each way a file of one's own can be wrong."""

import json
from pathlib import Path

import pytest

from moe_core.analysis.counterfactual.templates import by_attribute, parse_templates
from moe_core.errors import InputError

FOLDER = Path(__file__).resolve().parents[4] / "data" / "counterfactuals"
SLOT = {"slot": "pet", "attribute": "pet", "groups": {"dog": ["poodle", "beagle"], "cat": ["siamese", "persian"]}}
TEMPLATE = {"template": "vet", "text": "The vet saw the {pet} at once.", "slots": ["pet"]}


def lines(*records: object) -> str:
    return "\n".join(json.dumps(record, ensure_ascii=False) for record in records)


def test_a_template_is_filled_with_the_words_of_its_slot() -> None:
    """Groups, words and texts stand in the order of the slot; words of a slot are shared."""
    (found,) = parse_templates(lines(SLOT, TEMPLATE), "f")
    assert found.groups == ("dog", "cat")
    assert found.group_N == (0, 0, 1, 1)
    assert found.texts_N[2] == "The vet saw the siamese at once."
    assert found.shared


def test_whole_wordings_and_several_forms_are_read() -> None:
    """A wording may be an object of forms; a template may bring texts of its own, which are not shared."""
    forms = {"dog": [{"pet": "Rex", "it": "he"}, {"pet": "Max", "it": "he"}], "cat": [{"pet": "Mia", "it": "she"}]}
    own = {"template": "own", "attribute": "tone", "groups": {"plain": ["Send it.", "Mail it."], "kind": ["Please."]}}
    text = {"template": "vet", "text": "{pet} ate, {it} slept.", "slots": ["pet"]}
    first, second = parse_templates(lines({**SLOT, "groups": forms}, text, own), "f")
    assert first.texts_N == ("Rex ate, he slept.", "Max ate, he slept.", "Mia ate, she slept.")
    assert second.texts_N == ("Send it.", "Mail it.", "Please.")
    assert not second.shared


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "holds no template", id="empty"),
        pytest.param("{", "line 1: not valid JSON", id="broken JSON"),
        pytest.param("[" * 100_000, "line 1", id="deep JSON"),
        pytest.param(lines([1]), "not a slot and not a template", id="no object"),
        pytest.param(lines(SLOT, {**TEMPLATE, "txt": "x"}), "line 2: the key 'txt' is unknown", id="unknown key"),
        pytest.param(lines({"slot": "pet"}), "'attribute' is missing", id="missing key"),
        pytest.param(lines({**SLOT, "groups": {"dog": ["a", "b"]}}), "at least two groups", id="one group"),
        pytest.param(lines({**SLOT, "groups": {"dog": ["a"], "cat": ["b"]}}), "no neutral swap", id="no floor"),
        pytest.param(lines({**SLOT, "groups": {"dog": [], "cat": ["b", "c"]}}), "'dog'", id="empty group"),
        pytest.param(lines({**SLOT, "groups": {"dog": ["a", "b"], "cat": ["a"]}}), "stands twice", id="word twice"),
        pytest.param(lines({**SLOT, "groups": {"dog": ["a", 5], "cat": ["c"]}}), "neither a text", id="number"),
        pytest.param(lines(TEMPLATE), "no slot 'pet'", id="slot below"),
        pytest.param(lines(SLOT, {**TEMPLATE, "text": "The {bird}."}), "no words for the place {bird}", id="place"),
        pytest.param(lines(SLOT, {**TEMPLATE, "text": "The vet."}), "needs a place", id="no place"),
        pytest.param(lines(SLOT, {**TEMPLATE, "text": "{pet"}), "does not close", id="open brace"),
        pytest.param(lines(SLOT, {**TEMPLATE, "text": "{pet.__class__}"}), "needs a place", id="attribute access"),
        pytest.param(lines(SLOT, {**TEMPLATE, "text": "{pet!r:>9999999}"}), "needs a place", id="format"),
        pytest.param(lines(SLOT, TEMPLATE, TEMPLATE), "stands twice", id="template twice"),
        pytest.param(lines(SLOT, {**TEMPLATE, "slots": []}), "'slots' must list", id="no slots"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(text: str, words: str) -> None:
    """What, where and what to do; never a traceback."""
    with pytest.raises(InputError, match="f") as caught:
        parse_templates(text, "f")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_attribute_with_two_word_lists_is_refused() -> None:
    """Shuffling words over templates needs the same words in all of them."""
    other = {**SLOT, "slot": "pet2", "groups": {"dog": ["collie", "pug"], "cat": ["manx", "birman"]}}
    second = {"template": "walk", "text": "The {pet2} walks.", "slots": ["pet2"]}
    with pytest.raises(InputError, match="slot an attribute of its own"):
        by_attribute(parse_templates(lines(SLOT, other, TEMPLATE, second), "f"))


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("en", {"gender (names)": 36, "gender (words for relatives)": 36, "origin of the name": 24, "age": 24,
                "nationality": 24, "dialect: African American English": 15, "dialect: Indian English": 15}),
        ("ja", {"性別（名前）": 24, "性別（親族を表す語）": 24, "年齢": 20, "国籍": 20}),
    ],
)  # fmt: skip
def test_the_shipped_files_hold_what_their_datasheet_says(name: str, counts: dict[str, int]) -> None:
    """Templates of every attribute, at least four words a group where words are shared."""
    path = FOLDER / f"{name}.jsonl"
    found = by_attribute(parse_templates(path.read_text(encoding="utf-8"), path.name))
    assert {attribute: len(entries) for attribute, entries in found.items()} == counts
    for entries in found.values():
        first = entries[0]
        if first.shared:
            assert min(first.group_N.count(g) for g in range(len(first.groups))) >= 4

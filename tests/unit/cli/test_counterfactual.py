"""The verb `counterfactual` as a user runs it."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Command, assert_refused, document

NAMES = {"woman": ["Emily", "Laura", "Susan", "Karen"], "man": ["David", "Peter", "Brian", "Kevin"]}
TEXTS = ["{name} waited an hour.", "The letter to {name} came back.", "We thank {name} for the help.",
         "The bank called {name} twice.", "Nobody answered {name} today."]  # fmt: skip


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    path = tmp_path / "own.jsonl"
    rows: list[dict[str, object]] = [{"slot": "name", "attribute": "name", "groups": NAMES}]
    rows += [{"template": f"t{i}", "text": text, "slots": ["name"]} for i, text in enumerate(TEXTS)]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_a_file_of_ones_own_is_reported(routelens: Command, templates: Path) -> None:
    """One attribute: layers, measures, groups, self-tests, verdicts and what they do not show."""
    found = document(
        routelens("counterfactual", "--templates", templates, "--head", "spam", "--permutations", 99, "--json")
    )
    (attribute,) = found["attributes"]
    assert (found["head"], found["label"]) == ("spam", "spam")
    assert attribute["swaps"] == 5 * 16
    assert len(attribute["layers"]) == 6
    assert {row["measure"] for row in attribute["by_group"]} == {"score", "experts", "tokens"}
    assert attribute["self_tests"]["shuffles"] == 200
    assert attribute["underpowered"]
    assert found["valid"] == attribute["valid"]


def test_plain_output_names_the_attribute_and_the_limits(routelens: Command, templates: Path) -> None:
    """Readable without JSON: a heading, three verdicts, a table, the self-tests."""
    done = routelens("counterfactual", "--templates", templates, "--permutations", 99)
    assert done.returncode == 0, done.stderr
    for words in ("== name: woman, man", "routing: ", "compute: ", "answer: ", "self-tests: ", "not a difference"):
        assert words in done.stdout


def test_what_cannot_be_used_is_one_line(routelens: Command, templates: Path, tmp_path: Path) -> None:
    """A missing file, bytes that are no text, a wrong head, label and budget, too few templates."""
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(b"\xff\xfe")
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(templates.read_text().splitlines()[:4]))
    assert_refused(routelens("counterfactual", "--templates", tmp_path / "none.jsonl"), "none.jsonl")
    assert_refused(routelens("counterfactual", "--templates", broken), "not UTF-8")
    assert_refused(routelens("counterfactual", "--templates", templates, "--head", "nope"), "nope")
    assert_refused(routelens("counterfactual", "--templates", templates, "--label", "nope"), "no label")
    assert_refused(routelens("counterfactual", "--templates", templates, "--budget", "0"), "udget")
    assert_refused(routelens("counterfactual", "--templates", few), "has 3 templates")

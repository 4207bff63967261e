"""The verb `audit-expert` as a user runs it."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Command, assert_refused, document


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """60 short texts of two kinds of writers."""
    path = tmp_path / "people.jsonl"
    mood = ("The parcel came early and all is fine.", "The parcel never came and nobody answers.")
    rows = [
        {"text": f"{mood[i % 2]} {i}", "label": ("positive", "negative")[i % 2], "writer": ("a", "b")[i % 3 == 0]}
        for i in range(60)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_flagged_experts_are_masked_alone_and_together(routelens: Command, people: Path, tmp_path: Path) -> None:
    """Experts of an audit's document and of the command line, each once; gap, quality and controls in the answer."""
    cells = [
        {"layer": 1, "expert_id": 2, "flagged": True, "difference": -0.05},
        {"layer": 0, "expert_id": 3, "flagged": False, "difference": 0.9},
    ]
    activation = [
        {"layer": 3, "expert_id": 1, "flagged": True, "difference": 0.03},
        {"layer": 3, "expert_id": -1, "flagged": True, "difference": 0.3},
    ]
    audit = tmp_path / "audit.json"
    audit.write_text(json.dumps({"cells": cells, "activation": activation}))
    found = document(
        routelens("audit-expert", "--file", people, "--group", "writer", "--favourable", "positive", "--audit", audit,
                  "--most", 1, "--expert", "1:2", "--expert", "2:5", "--controls", 2, "--json")
    )  # fmt: skip
    assert found["value"] == "b"
    assert found["texts"] == {"group": 20, "others": 40}
    assert [row["experts"] for row in found["masked"] if row["kind"] == "group"] == [["1:2", "2:5"]]
    assert sorted(row["experts"][0] for row in found["masked"] if row["kind"] == "expert") == ["1:2", "2:5"]
    assert 0 < found["accuracy"] <= 1
    assert all(row["low"] <= row["change"] <= row["high"] for row in found["masked"])


def test_what_cannot_be_used_is_one_line(routelens: Command, people: Path, tmp_path: Path) -> None:
    """A missing column, an unknown group, an audit without a flagged expert or that is none, a wrong label or
    expert."""
    quiet, broken = tmp_path / "quiet.json", tmp_path / "broken.json"
    quiet.write_text('{"cells": []}')
    broken.write_text("[]")
    base = ("audit-expert", "--file", people, "--favourable", "positive")
    assert_refused(routelens(*base, "--group", "nope", "--expert", "1:2"), "no column 'nope'")
    assert_refused(routelens(*base, "--group", "writer", "--value", "z", "--expert", "1:2"), "writer = 'z'")
    assert_refused(routelens(*base, "--group", "text", "--expert", "1:2"), "--value")
    assert_refused(routelens(*base, "--group", "writer", "--audit", quiet), "flags no expert")
    assert_refused(routelens(*base, "--group", "writer", "--audit", broken), "not what")
    assert_refused(routelens(*base, "--group", "writer"), "no expert to mask")
    assert_refused(routelens(*base, "--group", "writer", "--expert", "99:0"), "no expert 99:0")
    assert_refused(
        routelens("audit-expert", "--file", people, "--group", "writer", "--favourable", "great", "--expert", "1:2"),
        "no label 'great'",
    )

"""Generated maths as a local file."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from moe_core.errors import SourceError
from moe_core.sources.extras import read_extra
from moe_core.sources.maths import write_maths


def test_questions_are_written_and_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of question is asked for with the seed, and the file is a usable extra."""
    asked: list[tuple[str, int]] = []

    def create_dataset(kind: str, *, size: int, seed: int) -> list[dict[str, Any]]:
        asked.append((kind, seed))
        return [{"question": f"What is {kind}?", "answer": 4}]

    module = SimpleNamespace(create_dataset=create_dataset)
    monkeypatch.setattr(importlib, "import_module", lambda name: module)
    extra = write_maths(tmp_path / "maths.jsonl", seed=7)
    documents = list(read_extra(extra))
    assert {seed for _, seed in asked} == {7}
    assert len(documents) == len(asked) > 20
    assert documents[0].blocks[1] == "4"
    assert json.loads(extra.path.read_text(encoding="utf-8").splitlines()[0])["kind"] == asked[0][0]


def test_a_missing_generator_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, the message names the command that installs it."""

    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(SourceError, match="pip install reasoning_gym"):
        write_maths(tmp_path / "maths.jsonl", seed=7)
    assert not (tmp_path / "maths.jsonl").exists()

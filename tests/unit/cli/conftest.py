"""Runs the real command in a real process, with the shipped model."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Result = subprocess.CompletedProcess[str]
Command = Callable[..., Result]


@pytest.fixture
def routelens() -> Command:
    """routelens(*words, stdin=None) -> finished process."""

    def run(*words: object, stdin: str | bytes | None = None) -> Result:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ROUTELENS_")}
        raw = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [sys.executable, "-m", "moe_core", *map(str, words)],
            capture_output=True,
            input=raw,
            env=environment,
            timeout=300,
            check=False,
        )
        return Result(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def document(result: Result) -> Any:
    """The one JSON document on stdout of a verb that worked."""
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def assert_refused(result: Result, *words: str) -> None:
    """Exit code 2, nothing on stdout, one line on stderr that holds the words, no traceback."""
    assert result.returncode == 2, (result.returncode, result.stdout, result.stderr)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0], lines[0]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"

"""`routelens evaluate` refuses bad input before it measures anything."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Command = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tasks", "{folder}"], "holds no test set of a head of this model"),
        (["--tasks", "{tasks}", "--unseen", "{folder}"], "train.jsonl cannot be read"),
        (["--tasks", "{tasks}", "--behaviour", "{folder}/none.jsonl"], "none.jsonl cannot be read"),
        (["--tasks", "{tasks}", "--tokens", "3"], "greater than or equal to 1000"),
    ],
)
def test_bad_input_ends_in_one_clear_line(routelens: Command, tmp_path: Path, words: list[str], said: str) -> None:
    """Exit code 2, what and where on stderr, nothing written, no traceback."""
    task = tmp_path / "tasks" / "sentiment"
    task.mkdir(parents=True)
    (task / "test.jsonl").write_text('{"text": "good", "label": "positive"}\n')
    (tmp_path / "empty").mkdir()
    filled = [word.format(folder=tmp_path / "empty", tasks=tmp_path / "tasks") for word in words]
    done = routelens("evaluate", *filled)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr

"""The options that say how to run: conflicts and values that cannot be followed, each in one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from moe_core.cli.main import app
from moe_core.errors import InputError
from moe_core.model import reference

FILES = {
    "rows.csv": "text,vip\nIt is fine.,no\n",
    "plain.csv": "text\nIt is fine.\n",
    "spam.toml": "format = 1\nbudget = 0.5\nhead = 'spam'\n",
    "vip.toml": "format = 1\nbudget = 0.5\n[escalation]\nimportant = 'vip'\n",
    "other.toml": "format = 1\nbudget = 0.5\nmodel_sha256 = 'abc'\n",
}


@pytest.fixture(scope="module")
def shipped() -> reference.RoutedModel:
    return reference.load_model()


@pytest.fixture(autouse=True)
def files(tmp_path: Path, shipped: reference.RoutedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the files, and a model that is loaded once."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reference, "load_model", lambda folder: shipped)


def refusal(*words: str) -> str:
    """The sentence that a call ends in, before it wrote anything."""
    result = CliRunner().invoke(app, [*words])
    assert isinstance(result.exception, InputError), (result.output, result.exception)
    assert not Path("store").exists()
    return str(result.exception)


def answered(*words: str) -> Any:
    result = CliRunner().invoke(app, [*words, "--no-log", "--json"])
    assert result.exit_code == 0, result.exception
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--max-loss 1", ("--max-loss", "add --budget auto")),
        ("--max-loss 1 --budget 0.5", ("--max-loss", "add --budget auto")),
        ("--budget auto --mode dense", ("dense mode has no budget",)),
        ("--budget auto --max-loss nan", ("nan", "out of range")),
        ("--escalate-below 2", ("margin_below is 2.0",)),
        ("--escalate-below nan", ("margin_below is nan",)),
        ("--escalate-below 0.2 --mode dense", ("last resort",)),
        ("--without nine", ("'nine'", "LAYER:EXPERT")),
        ("--without 0:1 --without 0:1", ("0:1 is named twice",)),
        ("--without 0:1 --mode dense", ("no experts",)),
        (" ".join(f"--without 3:{expert}" for expert in range(16)), ("All 16 experts of layer 3",)),
        ("--policy missing.toml", ("no policy file", "missing.toml")),
        ("--policy other.toml", ("made for the model abc",)),
        ("--policy spam.toml --mode topk --escalate-below 0", ("--mode and --escalate-below",)),
        ("--policy spam.toml --max-loss 1", ("--max-loss",)),
        ("--policy spam.toml --head sentiment", ("'spam'", "--head sentiment")),
        ("--policy spam.toml --without 6:0", ("no expert 6:0",)),
        ("--policy vip.toml --file plain.csv", ("no column 'vip'",)),
    ],
)
def test_what_cannot_be_followed_is_one_sentence(words: str, expected: tuple[str, ...]) -> None:
    """Nothing is written; the sentence says what and where."""
    sentence = refusal("infer", "a text", *words.split(), "--store", "store")
    for word in expected:
        assert word in sentence
    assert "\n" not in sentence


def test_embeddings_have_no_answer_to_doubt_or_to_bound() -> None:
    """A policy that escalates, and a budget chosen by a head's loss, make no sense for `embed`."""
    words = ("embed", "--file", "plain.csv", "--out", "x.npy")
    assert "[escalation]" in refusal(*words, "--policy", "vip.toml")
    assert "needs a head" in refusal(*words, "--budget", "auto")
    assert "--policy" in refusal(*words, "--policy", "spam.toml", "--mode", "dense")


def test_defaults_and_the_numbers_of_every_call() -> None:
    """Half the budget, adaptive; the keys of escalation are there when nothing is escalated."""
    out = answered("infer", "It is fine.")
    assert (out["budget"], out["mode"], out["budget_choice"]) == (0.5, "adaptive", None)
    assert (out["totals"]["escalated"], out["totals"]["escalation_run_id"]) == (0, None)
    assert out["requests"][0]["escalated"] is False


def test_a_policy_brings_its_head_and_its_budget(shipped: reference.RoutedModel) -> None:
    """The head of the file answers; plain texts have no attribute that could be important."""
    assert answered("infer", "It is fine.", "--policy", "spam.toml")["requests"][0]["label"] in (
        shipped.heads["spam"].card.labels
    )
    out = answered("infer", "It is fine.", "--policy", "vip.toml", "--file", "rows.csv")
    assert [request["escalated"] for request in out["requests"]] == [False, False]


def test_texts_are_counted_across_batches_when_one_is_refused(tmp_path: Path) -> None:
    """A text that cannot be answered is named by its number among all, and the log is not opened for the others."""
    (tmp_path / "many.txt").write_text("fine\n" * 300 + "\u200b\n")
    sentence = refusal("infer", "--file", "many.txt", "--store", "store")
    assert sentence.startswith("Text 301 ")

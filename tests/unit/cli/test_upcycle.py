"""`routelens upcycle` as a user meets it: the model folder at the end, or one sentence and exit code 2."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moe_core.cli.main import main
from tests.unit.toy_encoder import toy_encoder, toy_texts

Run = Callable[..., tuple[object, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """run(*words) -> (exit code, stdout, stderr) of the command, in this process."""

    def call(*words: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["routelens", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        spoken = capsys.readouterr()
        return end.value.code, spoken.out, spoken.err

    return call


def answer(run: Run, *words: object) -> Any:
    """The JSON document of a verb that worked."""
    code, out, err = run(*words, "--json")
    assert code == 0, err
    return json.loads(out)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(toy_texts(160)) + "\n", encoding="utf-8")
    return path


def test_from_an_encoder_to_answers(run: Run, tmp_path: Path, texts: Path, store: Path) -> None:
    """20 steps: a folder with a card, which infer, embed and calibrate accept; the default state is cleared away."""
    toy_encoder(tmp_path / "base")
    out = tmp_path / "mine"
    result = answer(run, "upcycle", tmp_path / "base", "--out", out, "--file", texts, "--steps", 20, "--experts", 8)
    assert (result["steps"], result["n_experts"], result["n_texts"], result["n_heldout"]) == (20, 8, 110, 50)
    assert result["seconds"] > 0
    assert result["split_difference"] < 1e-5
    assert [p["budget"] for p in result["points"]] == sorted(p["budget"] for p in result["points"])
    assert result["points"][-1]["budget"] == 1.0
    assert result["points"][-1]["cosine"] > 0.98
    assert not (tmp_path / "mine.state").exists()
    card = (out / "MODEL_CARD.md").read_text(encoding="utf-8")
    for words in ("split, not copied", "110 texts", "8 experts of 4 neurons", "mean cosine", "## Limits"):
        assert words in card
    answers = answer(run, "infer", "--model", out, "--store", store, "the parcel")
    assert answers["requests"][0]["label"] is None
    assert answers["totals"]["decisions"] > 0
    embedded = answer(run, "embed", "--model", out, "--file", texts, "--out", tmp_path / "e.npy")
    assert embedded["n"] == 160
    assert answer(run, "calibrate", "--model", out, "--file", texts)["points"][-1]["n_texts"] == 160


def test_refusals_are_one_sentence(run: Run, tmp_path: Path, texts: Path) -> None:
    """A missing folder, a foreign model, pickles, no text, a wrong setting, a place that is taken."""
    base, out = tmp_path / "base", tmp_path / "mine"

    def refused(*words: object) -> str:
        code, spoken, err = run("upcycle", base, "--out", out, *words)
        assert (code, spoken, len(err.strip().splitlines())) == (2, "", 1), err
        return err

    assert "There is no folder" in refused("--file", texts)
    toy_encoder(base)
    assert "There is no file" in refused("--file", tmp_path / "none.txt")
    assert "there is no column 'body'" in refused("--file", _csv(tmp_path), "--column", "body")
    assert "0 steps" in refused("--file", texts, "--steps", 0)
    assert "999 experts" in refused("--file", texts, "--experts", 999)
    assert "no configuration file" in refused("--file", texts, "--config", tmp_path / "none.toml")
    assert "is not empty" in refused("--file", texts, "--out", ".")
    few = tmp_path / "few.txt"
    few.write_text("the parcel\n")
    assert "at least 50 of each" in refused("--file", few)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}))
    assert "hidden_act 'relu'" in refused("--file", texts)
    (base / "config.json").write_text(json.dumps(config))
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    assert "a pickle" in refused("--file", texts)
    out.mkdir()
    (out / "kept.txt").write_text("mine")
    assert "is not empty" in refused("--file", texts)
    assert (out / "kept.txt").read_text() == "mine"


def _csv(folder: Path) -> Path:
    path = folder / "texts.csv"
    path.write_text("text\nthe parcel\n")
    return path


def test_the_help_says_that_it_splits_and_does_not_copy(run: Run) -> None:
    """The word upcycling means copying elsewhere."""
    code, spoken, _ = run("upcycle", "--help")
    assert code == 0
    assert "splits, it does not copy" in " ".join(spoken.split())

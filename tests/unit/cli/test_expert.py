"""`routelens expert`: the card without a browser, on a store that another generator made."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.unit.cli.conftest import Command, assert_refused, document
from tests.unit.cli.routed_texts import Texts, make_texts, write_texts


@pytest.fixture(scope="module")
def texts() -> Texts:
    return make_texts(np.random.default_rng(5), 30, rule="threshold")


@pytest.fixture
def filled(routelens: Command, store: Path, tmp_path: Path, texts: Texts) -> Path:
    write_texts(tmp_path / "made", texts, "made")
    done = routelens("import", "parquet", tmp_path / "made", "--store", store)
    assert done.returncode == 0, done.stderr
    return store


def test_the_card_of_an_imported_run_counts_right_and_invents_nothing(routelens: Command, filled: Path) -> None:
    """n against SQL over the decisions; no ablation of another model's run, but the command that measures it."""
    out = document(routelens("expert", "--layer", 1, "--expert", 2, "--store", filled, "--json"))
    sql = "SELECT count(*) AS n FROM decisions WHERE layer = 1 AND expert_id = 2 AND selected"
    n = document(routelens("query", sql, "--store", filled, "--json"))["rows"][0]
    assert out["usage"]["n"] == (n["n"] if isinstance(n, dict) else n[0])
    assert (out["run_id"], out["layer"], out["expert_id"]) == ("made", 1, 2)
    low, high = out["usage"]["interval"]
    assert low < out["usage"]["share"] < high
    assert out["ablation"] is None
    assert "routelens ablate" in out["notes"][0]
    assert sum(hour["n"] for hour in out["hours"]) == out["usage"]["n"]
    assert out["sample"]["share"] == 1
    lines = routelens("expert", "--layer", 1, "--expert", 2, "--store", filled)
    assert lines.returncode == 0, lines.stderr
    assert f"{out['usage']['n']:,} of {out['usage']['tokens']:,} tokens" in lines.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("--layer", 99, "--expert", 0), "no expert 99:0", id="layer"),
        pytest.param(("--layer", 0, "--expert", -1), "no expert 0:-1", id="expert"),
        pytest.param(("--layer", 0, "--expert", 0, "--run", "nobody"), "no run 'nobody'", id="run"),
    ],
)
def test_what_does_not_exist_is_one_sentence(
    routelens: Command, filled: Path, words: tuple[object, ...], said: str
) -> None:
    """Exit code 2, what and where, no traceback."""
    assert_refused(routelens("expert", *words, "--store", filled), said)


def test_a_store_without_decisions_is_one_sentence(routelens: Command, tmp_path: Path) -> None:
    """A folder that is no store."""
    assert_refused(routelens("expert", "--layer", 0, "--expert", 0, "--store", tmp_path / "nowhere"), "nowhere")


def test_a_redacted_text_is_missing_and_its_numbers_stay(routelens: Command, filled: Path) -> None:
    """null in the JSON, and words in its place in the lines."""
    out = document(routelens("expert", "--layer", 1, "--expert", 2, "--store", filled, "--json"))
    request = out["requests"][0]
    document(routelens("redact", "--request", request["request_id"], "--store", filled, "--json"))
    again = document(routelens("expert", "--layer", 1, "--expert", 2, "--store", filled, "--json"))
    same = next(row for row in again["requests"] if row["request_id"] == request["request_id"])
    assert same["text"] is None
    assert (same["n"], same["runs"]) == (request["n"], request["runs"])
    assert json.dumps(again["usage"]) == json.dumps(out["usage"])


def test_measuring_needs_a_test_set(routelens: Command, tmp_path: Path) -> None:
    """The sentence names the command that fetches one."""
    assert_refused(routelens("ablate", "--tasks", tmp_path), "routelens data get")

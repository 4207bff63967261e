"""`routelens explain`, end to end: one decision of a logged request, and the request run again."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Command, assert_refused, document

TEXTS = ("The parcel never arrived and nobody answers.", "Fine, thank you.", "A film with a poor ending.")


@pytest.fixture
def logged(routelens: Command, store: Path) -> dict[str, Any]:
    """Three texts answered together at budget .35."""
    answered: dict[str, Any] = document(routelens("infer", *TEXTS, "--budget", 0.35, "--json", "--store", store))
    return answered


def test_one_decision_is_explained_as_it_was_logged(routelens: Command, store: Path, logged: dict[str, Any]) -> None:
    """The keys of the contract; the parts sum to the margin; the margin is that of the log."""
    request = logged["requests"][2]["request_id"]
    words = ("explain", "--request", request, "--position", 3, "--layer", 2, "--store", store)
    told = document(routelens(*words, "--json"))
    assert {"experts", "margin", "contributions", "completeness_error", "flip", "budget_flip", "logged"} <= set(told)
    assert len(told["experts"]) == 16
    assert told["logged"]["same"]
    assert sum(c["contribution"] for c in told["contributions"]) == pytest.approx(told["margin"], abs=1e-5)
    assert told["completeness_error"] <= 1e-4
    sql = (
        f"select expert_id from decisions where request_id = '{request}' and position = 3 and layer = 2 and selected "
        "order by expert_id"
    )
    rows = document(routelens("query", sql, "--json", "--store", store))["rows"]
    assert [row[0] for row in rows] == [e["expert_id"] for e in told["experts"] if e["runs"]]
    plain = routelens(*words)
    assert plain.returncode == 0
    assert "margin" in plain.stdout
    assert "smallest change that turns it" in plain.stdout


def test_replay_finds_the_same_decisions_bit_for_bit(
    routelens: Command, store: Path, logged: dict[str, Any]
) -> None:
    """Every request of a batch, run again with the batch it was in."""
    report = document(
        routelens("explain", "--request", logged["requests"][0]["request_id"], "--replay", "--json", "--store", store)
    )
    assert report["same"]
    assert report["n_decisions"] == logged["requests"][0]["decisions"]
    assert (report["n_differ"], report["answered_with"], report["around"]) == (0, 3, [])


@pytest.mark.parametrize(
    "options",
    [("--mode", "topk", "--budget", "0.25"), ("--budget", "0.4", "--without", "2:5", "--without", "0:1")],
    ids=["top-k", "lost experts"],
)
def test_replay_of_other_settings(routelens: Command, store: Path, options: tuple[str, ...]) -> None:
    """The setting comes from the log: mode, budget, lost experts."""
    answered = document(routelens("infer", TEXTS[0], *options, "--json", "--store", store))
    request = answered["requests"][0]["request_id"]
    assert document(routelens("explain", "--request", request, "--replay", "--json", "--store", store))["same"]
    where = ("--position", 2, "--layer", 2)
    assert document(routelens("explain", "--request", request, *where, "--json", "--store", store))["logged"]["same"]


def test_what_cannot_be_explained_is_one_sentence(
    routelens: Command, store: Path, logged: dict[str, Any]
) -> None:
    """Unknown request, wrong place, mixed options, dense run, redacted text."""
    request = logged["requests"][1]["request_id"]
    at = ("--position", 0, "--layer", 0, "--store", store)
    assert_refused(routelens("explain", "--request", "nothing", *at), "no request 'nothing'")
    words = ("explain", "--request", request, "--store", store)
    assert_refused(routelens(*words, "--position", 99, "--layer", 0), "position 99")
    assert_refused(routelens(*words, "--position", 0, "--layer", 9), "layer 9")
    assert_refused(routelens("explain", "--request", request, *at, "--expert", 16), "expert 16")
    assert_refused(routelens("explain", "--request", request, *at, "--replay"), "--replay")
    assert_refused(routelens("explain", "--request", request, "--store", store), "--position")
    dense = document(routelens("infer", TEXTS[0], "--mode", "dense", "--json", "--store", store))
    assert_refused(routelens("explain", "--request", dense["requests"][0]["request_id"], *at), "dense")
    assert routelens("redact", "--request", request, "--reason", "asked", "--store", store).returncode == 0
    assert_refused(routelens("explain", "--request", request, *at), "redacted")

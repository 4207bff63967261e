"""`routelens import parquet`: the contract, end to end, in real processes."""

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Command, assert_refused, document
from tests.unit.log.build import fill_store
from tests.unit.log.imports.build import (
    RUN,
    bytes_of,
    changed,
    decision_table,
    request_table,
    token_table,
    without,
    write_folder,
)


def test_what_import_announces_is_what_the_log_holds(routelens: Command, store: Path, tmp_path: Path) -> None:
    """The keys of the contract; the card is in the relation `runs`; every decision carries the flag `imported` (16);
    verify says ok; a second import of the same run is refused."""
    folder = write_folder(tmp_path / "in", tokens=token_table())
    out = document(routelens("import", "parquet", folder, "--store", store, "--json"))
    assert (out["run_id"], out["run_ids"], out["decisions"], out["requests"]) == ("r1", ["r1"], 12, 2)
    assert out["quality_card"]["rows"] == 12
    assert out["quality_cards"] == {"r1": out["quality_card"]}
    sql = (
        "select count(*), count(token_id), min(flags & 16), any_value(r.quality_card->>'$.rows') "
        "from decisions d join runs r using (run_id)"
    )
    assert document(routelens("query", sql, "--json", "--store", store))["rows"] == [[12, 12, 16, "12"]]
    report = document(routelens("verify", "--json", "--store", store))
    assert (report["ok"], report["segments"], report["decisions"]) == (True, 1, 12)
    assert report["errors"] == report["notes"] == []
    assert_refused(routelens("import", "parquet", folder, "--store", store), "'r1' already", "another run_id")


def test_two_runs_and_plain_lines(routelens: Command, store: Path, tmp_path: Path) -> None:
    """Without --json: a line per run, and the notes of its card below, as escapes where they could steer a terminal."""
    requests = {"run_id": ["r1", "r1", "r2"], "request_id": ["a", "b", "x"]}
    runs = [RUN, {"run_id": "r2", "n_layers": 1, "n_experts": 2, "extra\u202e": 1}]
    folder = write_folder(tmp_path / "in", runs=runs, requests=requests)
    shown = routelens("import", "parquet", folder, "--store", store)
    assert shown.returncode == 0, shown.stderr
    assert "r1: 12 decisions of 2 requests" in shown.stdout
    assert "r2: 0 decisions of 1 requests" in shown.stdout
    assert "  Run 'r2' has no decisions." in shown.stdout
    assert "\u202e" not in shown.stdout


@pytest.mark.parametrize("fault", ["row", "column", "file", "folder", "format"])
def test_bad_input_ends_in_one_clear_sentence(routelens: Command, store: Path, tmp_path: Path, fault: str) -> None:
    """Exit code 2, one line, no traceback, the store byte for byte as before."""
    fill_store(store, n_batches=1)
    before = bytes_of(store)
    runs = RUN | {"run_id": "r2"}
    requests = request_table() | {"run_id": ["r2", "r2"]}
    decisions = decision_table() | {"run_id": ["r2"] * 12}
    folder = write_folder(tmp_path / "in", runs=runs, requests=requests, decisions=decisions)
    words: tuple[str, ...]
    match fault:
        case "row":
            write_folder(folder, runs=runs, requests=requests, decisions=changed(decisions, 7, prob=1.5, position=-1))
            words = ("decisions.parquet, row 7 (counted from 0)", "-1")
        case "column":
            write_folder(folder, runs=runs, requests=without(requests, "request_id"), decisions=decisions)
            words = ("requests.parquet", "'request_id'", "it has run_id, n_tokens")
        case "file":
            (folder / "requests.parquet").unlink()
            words = ("no file", "requests.parquet")
        case "folder":
            folder, words = tmp_path / "nowhere", ("no folder", "nowhere", "runs.json")
        case _:
            (folder / "decisions.parquet").write_text("run_id,layer\n")
            words = ("decisions.parquet cannot be read as Parquet",)
    assert_refused(routelens("import", "parquet", folder, "--store", store, "--json"), *words)
    assert bytes_of(store) == before


def test_help_names_what_must_be_there(routelens: Command) -> None:
    """The columns that an import needs, and the files."""
    shown = " ".join(routelens("import", "parquet", "--help").stdout.split())
    for word in (
        "runs.json",
        "requests.parquet",
        "decisions.parquet",
        "run_id, request_id, position, layer, expert_id",
    ):
        assert word in shown

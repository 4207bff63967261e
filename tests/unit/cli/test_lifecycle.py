"""redact, retain, export, doctor, migrate as commands: documents, exit codes, sentences."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.unit.cli.conftest import Command, assert_refused, document
from tests.unit.log.build import fill_store


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A store with one run of 3 requests of 1 March 2026, 24 decisions."""
    fill_store(tmp_path / "store")
    return tmp_path / "store"


def pem(path: Path, key: object) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))  # type: ignore[attr-defined]
    return path


def test_a_request_is_redacted_once(routelens: Command, filled: Path, tmp_path: Path) -> None:
    """The document names what was erased; verify is ok and shows who signed; a second call says it was done."""
    key = Ed25519PrivateKey.generate()
    words = ("redact", "--request", "run-a/1", "--reason", "asked", "--actor", "dpo", "--store", filled)
    first = document(routelens(*words, "--sign", pem(tmp_path / "key.pem", key), "--json"))
    assert [one["request_id"] for one in first["erased"]] == ["run-a/1"]
    assert (first["before"], first["removed_files"], first["index"]) == ([], 2, "absent")
    report = document(routelens("verify", "--store", filled, "--json"))
    what = "text, text_hash, attributes, reference_label, actor, tokens of request 'run-a/1' erased (asked)"
    assert f"by dpo: {what}; signed with {key.public_key().public_bytes_raw().hex()}" in report["notes"][0]
    second = routelens(*words)
    assert (second.returncode, second.stdout.splitlines()[0]) == (0, "erased before: run-a/1 of run run-a")
    rows = document(routelens("query", "SELECT text FROM requests ORDER BY request_id", "--store", filled, "--json"))
    assert rows["rows"] == [["text of run-a/0"], [None], ["text of run-a/2"]]


def test_an_unknown_request_and_a_missing_key_are_one_sentence(routelens: Command, filled: Path) -> None:
    """Exit code 2, nothing erased."""
    words = ("redact", "--store", filled, "--request")
    assert_refused(routelens(*words, "nobody"), "holds no request 'nobody'")
    assert_refused(routelens(*words, "run-a/1", "--sign", filled / "none.pem"), "none.pem", "No such file")


def test_days_are_dropped_after_a_dry_run(routelens: Command, filled: Path) -> None:
    """The dry run counts, the real one drops; the run is still listed."""
    words = ("retain", "--days", 30, "--store", filled, "--json")
    dry = document(routelens(*words, "--dry-run"))
    assert [(day["day"], day["decisions"]) for day in dry["dropped"]] == [("2026-03-01", 24)]
    real = document(routelens(*words))
    assert (real["dropped"], real["removed_files"]) == (dry["dropped"], 9)
    report = document(routelens("verify", "--store", filled, "--json"))
    assert (report["ok"], report["decisions"], len(report["notes"])) == (True, 0, 1)
    assert document(routelens("query", "SELECT run_id FROM runs", "--store", filled, "--json"))["rows"] == [["run-a"]]
    assert_refused(routelens("retain", "--days", 0, "--store", filled), "--days 0 would drop everything")


def test_a_run_is_exported(routelens: Command, filled: Path, tmp_path: Path) -> None:
    """Into a new folder, with and without text; a full folder and an unknown run are refused."""
    words = ("export", "--run", "run-a", "--store", filled)
    done = document(routelens(*words, "--out", tmp_path / "out", "--json"))
    assert done["rows"] == {"requests.parquet": 3, "tokens.parquet": 6, "decisions.parquet": 24, "runs.json": 1}
    assert set(done["sha256"]) == {*done["rows"], "README.txt"}
    assert_refused(routelens(*words, "--out", tmp_path / "out"), "is not an empty folder")
    bare = document(routelens(*words, "--out", tmp_path / "bare", "--no-text", "--json"))
    assert "tokens.parquet" not in bare["rows"]
    assert_refused(routelens("export", "--run", "x", "--out", tmp_path / "x", "--store", filled), "holds no run 'x'")


def test_doctor_exits_1_where_something_needs_attention(routelens: Command, filled: Path, tmp_path: Path) -> None:
    """0 for a healthy store, 1 for a damaged one or none; one document on stdout either way."""
    healthy = document(routelens("doctor", "--store", filled, "--json"))
    assert (healthy["healthy"], healthy["decisions"], healthy["runs"][0]["state"]) == (True, 24, "ended")
    segment = next(filled.glob("segments/*/*/*"))
    segment.write_bytes(b"")
    result = routelens("doctor", "--store", filled)
    assert result.returncode == 1
    assert "has 0 bytes, its manifest says" in result.stdout
    assert "    What to do: restore the file from a copy" in result.stdout
    result = routelens("doctor", "--store", tmp_path / "nowhere", "--json")
    assert (result.returncode, json.loads(result.stdout)["healthy"], result.stderr) == (1, False, "")


def test_migrate_says_that_nothing_is_to_be_done(routelens: Command, filled: Path, tmp_path: Path) -> None:
    """A store of today's version needs no step; where there is none, that is said."""
    assert document(routelens("migrate", "--store", filled, "--json")) == {"schema_version": 1, "steps": []}
    assert_refused(routelens("migrate", "--store", tmp_path / "nowhere"), "There is no store in")

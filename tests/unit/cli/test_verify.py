"""`routelens verify` and `keys new` as an auditor meets them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moe_core.cli.main import main
from moe_core.log import writer
from moe_core.log.writer import SegmentSink
from tests.unit.log.build import fill_store, make_request, make_run, plain_batch

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """run(*words) -> (exit code, stdout, stderr) of the command, in this process."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["routelens", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        spoken = capsys.readouterr()
        return int(end.value.code or 0), spoken.out, spoken.err

    return call


@pytest.fixture
def store(tmp_path: Path) -> Path:
    fill_store(tmp_path / "store")
    return tmp_path / "store"


def answer(run: Run, *words: object, code: int = 0) -> Any:
    """The JSON document of a verb that ended with `code`."""
    found, out, err = run(*words, "--json")
    assert (found, err) == (code, "")
    return json.loads(out)


def damage(store: Path) -> None:
    path = next((store / "segments").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def test_the_day_of_an_auditor(run: Run, store: Path, tmp_path: Path) -> None:
    """Make keys, publish a signed head, compare with it, prove one decision; then the store is cut back."""
    keys, head, proof = tmp_path / "keys", tmp_path / "kept" / "head.json", tmp_path / "proof.json"
    made = answer(run, "keys", "new", keys)
    assert made == {"private": str(keys / "private.pem"), "public": str(keys / "public.pem")}
    signing = ("--publish-head", head, "--sign", made["private"])
    published = answer(run, "verify", "--store", store, *signing)
    assert published["ok"]
    assert {key: published["published"][key] for key in ("path", "writers", "decisions", "is_signed")} == {
        "path": str(head), "writers": 1, "decisions": 24, "is_signed": True,
    }  # fmt: skip
    checking = ("--against", tmp_path / "kept", "--public-key", made["public"])
    compared = answer(run, "verify", "--store", store, *checking)
    assert compared == {"ok": True, "segments": 3, "decisions": 24, "errors": [], "notes": [], "compared": 1,
                        "published": None, "incomplete": []}  # fmt: skip
    proved = answer(run, "verify", "--store", store, "--decision", "run-a", "run-a/1", 0, *checking, "--out", proof)
    assert proved["proof"] == json.loads(proof.read_text())
    assert (proved["ok"], proved["path"]) == (True, str(proof))
    (manifest,) = (store / "manifest").glob("*.jsonl")
    for path in (manifest, manifest.with_suffix(".head")):
        path.unlink()
    for path in [*(store / "segments").rglob("*.parquet"), *(store / "requests").rglob("*.parquet")]:
        path.unlink()
    assert answer(run, "verify", "--store", store)["ok"]
    cut = answer(run, "verify", "--store", store, *checking, code=1)
    assert "with 24 decisions is gone" in cut["errors"][0]


def test_it_speaks_in_lines_too(run: Run, store: Path, tmp_path: Path) -> None:
    """Without --json: a verdict, what was published, a table of the decisions."""
    code, out, _ = run("verify", "--store", store, "--publish-head", tmp_path / "h.json")
    assert code == 0
    assert out.splitlines() == [
        "intact: 3 segments, 24 decisions",
        f"published, not signed: 1 chains, 24 decisions in {tmp_path / 'h.json'}",
    ]
    _, out, _ = run("verify", "--store", store, "--against", tmp_path / "h.json")
    assert "published heads compared: 1, all that they name is still there" in out
    _, out, _ = run("verify", "--store", store, "--decision", "run-a", "run-a/1", 0)
    assert " ".join(out.split()[:9]) == "layer expert_id rank selected gate_weight margin prob logit flags"
    assert len(out.splitlines()) == 1 + 4 + 1


def test_a_damaged_store_is_not_published_and_proves_nothing(run: Run, store: Path, tmp_path: Path) -> None:
    """Exit code 1, and no file."""
    damage(store)
    report = answer(run, "verify", "--store", store, "--publish-head", tmp_path / "h.json", code=1)
    assert (report["ok"], report["published"], (tmp_path / "h.json").exists()) == (False, None, False)
    segment = next((store / "segments").rglob("*.parquet"))
    number = int(segment.stem.rpartition("-")[2])
    words = ("--decision", "run-a", f"run-a/{number}", 0, "--out", tmp_path / "p.json")
    proof = answer(run, "verify", "--store", store, *words, code=1)
    assert (proof["ok"], (tmp_path / "p.json").exists()) == (False, False)
    assert segment.name in proof["errors"][0]


def test_an_altered_or_foreign_head_is_a_failed_check(run: Run, store: Path, tmp_path: Path) -> None:
    """Edited, unsigned, signed by somebody else: exit code 1, for the store and for a single decision."""
    head = tmp_path / "h.json"
    made, other = answer(run, "keys", "new", tmp_path / "a"), answer(run, "keys", "new", tmp_path / "b")
    unsigned = tmp_path / "u.json"
    run("verify", "--store", store, "--publish-head", unsigned)
    run("verify", "--store", store, "--publish-head", head, "--sign", made["private"])
    edited = tmp_path / "e.json"
    edited.write_text(head.read_text().replace('"seq": 4', '"seq": 3'))
    for path, key, sentence in (
        (edited, made, "does not match its own checksum"),
        (unsigned, made, "is not signed"),
        (head, other, "not signed with the other half"),
    ):
        words = ("verify", "--store", store, "--against", path, "--public-key", key["public"])
        assert sentence in answer(run, *words, code=1)["errors"][0]
        assert sentence in answer(run, *words, "--decision", "run-a", "run-a/1", 0, code=1)["errors"][0]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--sign", "k.pem"), "--sign goes with --publish-head"),
        (("--public-key", "k.pem"), "--public-key goes with --against"),
        (("--out", "p.json"), "--out goes with --decision"),
        (("--decision", "r", "q", 0, "--publish-head", "h"), "are two tasks"),
        (("--publish-head", "h.json", "--sign", "no-key.pem"), "is not a private Ed25519 key"),
        (("--publish-head", "h.json", "--sign", "absent.pem"), "Cannot read the key"),
        (("--against", "h.json", "--public-key", "no-key.pem"), "is not a public Ed25519 key"),
        (("--against", "absent.json"), "There are no published heads in"),
        (("--publish-head", "store/h.json"), "publish the head outside of it"),
        (("--decision", "x", "run-a/1", 0), "no run 'x'"),
        (("--decision", "run-a", "x", 0), "no request 'x'"),
        (("--decision", "run-a", "run-a/1", 2), "no decisions at position 2"),
        (("--decision", "run-a", "run-a/1", "x"), "Invalid value for '--decision'"),
        (("--decision", "run-a", "run-a/1"), "requires 3 arguments"),
        (("--store", "absent"), "There is no store in"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    run: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[object, ...], sentence: str
) -> None:
    """Exit code 2, nothing on stdout, and what to do."""
    monkeypatch.chdir(tmp_path)
    Path("no-key.pem").write_text("no key")
    store_words = () if "--store" in words else ("--store", store)
    code, out, err = run("verify", *store_words, *words)
    assert (code, out) == (2, "")
    assert sentence in err
    assert "Traceback" not in err


def test_keys_are_not_written_over(run: Run, tmp_path: Path) -> None:
    """A second pair in the same folder is refused."""
    assert run("keys", "new", tmp_path)[0] == 0
    code, _, err = run("keys", "new", tmp_path)
    assert code == 2
    assert "There is a key in" in err


def test_an_incomplete_run_is_named_and_no_error(run: Run, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """verify says how much was never recorded, for people and as JSON; what is recorded is intact, exit code 0."""
    monkeypatch.setattr(writer, "BUFFER_LIMIT", 0)
    with SegmentSink(store, when_full="incomplete") as sink:
        sink.begin_run(make_run("hurried"))
        sink.append([make_request("lost", 2)], plain_batch([2]))
    found = answer(run, "verify", "--store", store)
    assert found["incomplete"] == [{"run_id": "hurried", "requests": 1, "tokens": 2, "decisions": 8}]
    assert (found["ok"], found["decisions"]) == (True, 24)
    assert "Run 'hurried' is incomplete: 1 requests with 8 decisions" in run("verify", "--store", store)[1]

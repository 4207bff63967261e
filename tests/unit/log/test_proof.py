"""The proof of one decision, and the stand-alone script that checks it, run as a real process without RouteLens."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from moe_core.errors import InputError, ManifestError, RequestNotFoundError, RunNotFoundError, SegmentError
from moe_core.log.proof import TokenOfRequest, prove_decision, render
from moe_core.log.published_heads import publish_heads, read_published
from moe_core.log.store import open_store
from moe_core.log.writer import SegmentSink
from moe_core.records import DecisionFlag
from tests.unit.log.build import fill_store, make_batch, make_request, make_run, plain_batch

SCRIPT = Path(__file__).resolve().parents[3] / "docs" / "check_decision.py"
NAN = float("nan")


def ask(run_id: str = "run-a", request_id: str = "run-a/1", position: int = 1) -> TokenOfRequest:
    return TokenOfRequest(run_id=run_id, request_id=request_id, position=position)


def run_script(folder: Path, proof: Any, published: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The script in an isolated process without site-packages, in a folder of its own."""
    path = folder / "proof.json"
    path.write_bytes(proof if isinstance(proof, bytes) else render(proof))
    words = [sys.executable, "-I", "-S", str(SCRIPT), str(path), *([str(published)] if published else [])]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


def test_the_script_is_short_and_needs_nothing() -> None:
    """At most 60 lines, and only Python's standard library."""
    source = SCRIPT.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 60
    names = {
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert names <= sys.stdlib_module_names


def test_a_decision_is_proved_in_words(store_dir: Path, tmp_path: Path) -> None:
    """Token 1 of the second request: expert 0 ran in both layers, expert 1 did not; the head is the published one."""
    store = open_store(store_dir)
    published = tmp_path / "heads.json"
    heads = publish_heads(store, published)
    proof = prove_decision(store, ask(), [read_published(published)])
    done = run_script(tmp_path, proof, published)
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout.splitlines()
    assert said[0].startswith("Run 'run-a', request number 1 (the store calls it 'run-a/1'), token 1, written at ")
    assert said[1] == (
        "layer 0: expert 0 ran, rank 0, flags [], logit 1.5, prob 0.7499961852445258, gate_weight 1.0, margin 0.5"
    )
    assert [line.split(",")[0] for line in said[2:5]] == [
        "layer 0: expert 1 did not run",
        "layer 1: expert 0 ran",
        "layer 1: expert 1 did not run",
    ]
    (head,) = heads.writers.values()
    assert said[5:] == [f"PROVED by the published head {head.digest}"]
    alone = run_script(tmp_path, proof)
    assert alone.returncode == 0
    assert "PROVED if you kept this digest " + head.digest in alone.stdout


def test_flags_and_unknown_numbers_are_told(tmp_path: Path) -> None:
    """Flags by name, what is not known as None, and a logit beyond 16 bits as it is."""
    rows = [(0, 0, 0, 2, 0, True, 40.0, NAN, 2.5, NAN, int(DecisionFlag.FLOOR | DecisionFlag.IMPORTED))]
    with SegmentSink(tmp_path / "s") as sink:
        sink.begin_run(make_run("r"))
        sink.append([make_request("q")], make_batch(rows))
    proof = prove_decision(open_store(tmp_path / "s"), ask("r", "q", 0))
    (decision,) = proof["decisions"]
    assert decision == {
        "request_no": 0, "position": 0, "layer": 0, "expert_id": 2, "rank": 0, "selected": True,
        "flags": ["floor", "imported"], "logit": 40.0, "prob": None,
        "gate_weight": pytest.approx(2.5, abs=1e-5), "margin": None,
    }  # fmt: skip
    done = run_script(tmp_path, proof)
    assert done.returncode == 0, done.stderr
    assert "flags ['floor', 'imported'], logit 40.0, prob None, gate_weight 2.5" in done.stdout


@pytest.mark.parametrize("n_tokens", [1, 3, 6])
def test_every_token_can_be_proved(tmp_path: Path, n_tokens: int) -> None:
    """Trees of one leaf, with an odd level at the bottom, and with one higher up."""
    with SegmentSink(tmp_path / "s", flush_seconds=60) as sink:
        sink.begin_run(make_run())
        for i in range(2):
            sink.append([make_request(f"run-a/{i}", n_tokens)], plain_batch([n_tokens]))
            sink.flush()
    for position in range(n_tokens):
        proof = prove_decision(open_store(tmp_path / "s"), ask(position=position))
        assert (proof["leaf_index"], proof["leaves"], proof["seq"]) == (position, n_tokens, 2)
        done = run_script(tmp_path, proof)
        assert done.returncode == 0, done.stderr


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every number, text and truth value in a JSON document."""
    if isinstance(value, dict | list) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*at, key))
    elif at:
        yield at


def edited(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return ("1" if value[0] != "1" else "2") + value[1:]
        case _:
            return ["floor"]


def test_every_edit_of_a_proof_is_refused(store_dir: Path, tmp_path: Path) -> None:
    """Every single value of the JSON document is changed in turn: rows, gate weights, siblings and their sides, index,
    roots, line, head, store. One is not covered, and the script says that it is the store's word: the request's id."""
    sound = prove_decision(open_store(store_dir), ask())
    changed = list(places(sound))
    assert len(changed) == 68
    for way in changed:
        proof = json.loads(render(sound))
        inner = proof
        for key in way[:-1]:
            inner = inner[key]
        inner[way[-1]] = edited(inner[way[-1]])
        done = run_script(tmp_path, proof)
        if way == ("request_id",):
            assert done.returncode == 0
            assert "(the store calls it '1un-a/1')" in done.stdout
        else:
            assert done.returncode == 1, way
            assert done.stderr.startswith("NOT PROVED: "), way
            assert "PROVED" not in done.stdout


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda proof: proof["rows"].reverse(), id="rows exchanged"),
        pytest.param(lambda proof: (proof["rows"].pop(), proof["decisions"].pop()), id="a row left out"),
        pytest.param(lambda proof: (proof["rows"].clear(), proof["decisions"].clear()), id="no rows"),
        pytest.param(lambda proof: proof["siblings"].clear(), id="siblings left out"),
        pytest.param(lambda proof: proof["siblings"].append(["left", "00" * 32]), id="a sibling too many"),
        pytest.param(lambda proof: proof["line_siblings"].pop(), id="a sibling of the line left out"),
        pytest.param(lambda proof: proof.pop("head"), id="no head"),
        pytest.param(lambda proof: proof.update(leaf_index=-1), id="an index below 0"),
        pytest.param(lambda proof: proof.update(line=proof["line"].replace('"tokens": 2', '"tokens": 3')), id="line"),
    ],
)
def test_what_is_left_out_or_added_is_refused(
    store_dir: Path, tmp_path: Path, edit: Callable[[dict[str, Any]], object]
) -> None:
    """A proof is whole or none."""
    proof = json.loads(render(prove_decision(open_store(store_dir), ask())))
    edit(proof)
    assert run_script(tmp_path, proof).returncode == 1


def forge(proof: dict[str, Any]) -> dict[str, Any]:
    """Another gate weight, and everything above it made anew, as somebody would who knows the format."""
    forged = json.loads(render(proof))
    forged["rows"][0] = forged["rows"][0][:48] + "00800000" + forged["rows"][0][56:]
    forged["decisions"][0]["gate_weight"] = 0x8000 / 65535

    def up(node: bytes, siblings: list[list[str]]) -> str:
        for side, other in siblings:
            pair = bytes.fromhex(other) + node if side == "left" else node + bytes.fromhex(other)
            node = sha256(b"\x01" + pair).digest()
        return node.hex()

    forged["merkle_root"] = up(sha256(b"\0" + bytes.fromhex("".join(forged["rows"]))).digest(), forged["siblings"])
    body = forged["line"].rpartition(', "hash": "')[0].replace(proof["merkle_root"], forged["merkle_root"])
    digest = sha256(body.encode())
    forged["line"] = f'{body}, "hash": "{digest.hexdigest()}"}}'
    head = forged["head"]
    head["lines_root"] = up(sha256(b"\0" + digest.digest()).digest(), forged["line_siblings"])
    said = ("routelens head 1", forged["store_sha256"], forged["writer_id"], head["seq"], head["hash"],
            head["lines_root"], head["decisions"])  # fmt: skip
    head["digest"] = sha256(" ".join(map(str, said)).encode()).hexdigest()
    return forged


def test_a_forged_proof_is_exposed_by_the_published_head_alone(store_dir: Path, tmp_path: Path) -> None:
    """Whoever rewrites everything gets a proof that agrees with itself, under a digest that nobody published."""
    store = open_store(store_dir)
    publish_heads(store, tmp_path / "heads.json")
    proof = prove_decision(store, ask())
    forged = forge(proof)
    alone = run_script(tmp_path, forged)
    assert (alone.returncode, proof["head"]["digest"] in alone.stdout) == (0, False)
    assert "PROVED if you kept this digest" in alone.stdout
    against = run_script(tmp_path, forged, tmp_path / "heads.json")
    assert against.returncode == 1
    assert "the head is not the one that was published" in against.stderr
    assert run_script(tmp_path, proof, tmp_path / "heads.json").returncode == 0


def test_what_is_no_proof_is_refused(tmp_path: Path) -> None:
    """No JSON, no object, an empty one, no file."""
    for content in (b"", b"[]", b"{}", b"\xff", b"null"):
        done = run_script(tmp_path, content)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("NOT PROVED: ")
    assert subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, check=False).returncode == 1


def test_a_proof_reaches_the_published_head_though_the_store_went_on(store_dir: Path, tmp_path: Path) -> None:
    """More lines and another writer change nothing for what was published; what came later needs a later head."""
    store = open_store(store_dir)
    publish_heads(store, tmp_path / "1.json")
    fill_store(store_dir, "run-b", n_batches=2)
    first = read_published(tmp_path / "1.json")
    assert run_script(tmp_path, prove_decision(store, ask(), [first]), tmp_path / "1.json").returncode == 0
    later = ask("run-b", "run-b/0")
    with pytest.raises(InputError, match=r"written after .*1\.json was published"):
        prove_decision(store, later, [first])
    publish_heads(store, tmp_path / "2.json")
    proof = prove_decision(store, later, [first, read_published(tmp_path / "2.json")])
    assert run_script(tmp_path, proof, tmp_path / "2.json").returncode == 0
    assert run_script(tmp_path, proof, tmp_path / "1.json").returncode == 1


def test_what_cannot_be_proved_is_refused(store_dir: Path, tmp_path: Path) -> None:
    """An unknown run, request or position; a damaged segment or requests file; a chain that was rebuilt."""
    store = open_store(store_dir)
    with pytest.raises(RunNotFoundError, match="no run 'x'"):
        prove_decision(store, ask(run_id="x"))
    with pytest.raises(RequestNotFoundError, match="no request 'x'"):
        prove_decision(store, ask(request_id="x"))
    for position in (2, -1):
        with pytest.raises(InputError, match=f"no decisions at position {position}"):
            prove_decision(store, ask(position=position))
    for folder, name in (("segments", "*000001.parquet"), ("requests", "*000001.requests.parquet")):
        (path,) = (store_dir / folder).rglob(name)
        data = path.read_bytes()
        path.write_bytes(data[:-1] + b"?")
        with pytest.raises(SegmentError, match="sha256 differs"):
            prove_decision(store, ask())
        path.write_bytes(data)
    publish_heads(store, tmp_path / "heads.json")
    (manifest,) = (store_dir / "manifest").glob("*.jsonl")
    manifest.write_bytes(b"".join(manifest.read_bytes().splitlines(keepends=True)[:3]))
    with pytest.raises(ManifestError, match="its end is missing"):
        prove_decision(store, ask())
    with pytest.raises(ManifestError, match="its end was removed"):
        prove_decision(store, ask(), [read_published(tmp_path / "heads.json")])


def test_damage_elsewhere_does_not_keep_a_decision_from_being_proved(store_dir: Path, tmp_path: Path) -> None:
    """Another writer's chain is cut and another batch is gone: this token's rows, line and chain are whole."""
    fill_store(store_dir, "run-b", n_batches=1)
    store = open_store(store_dir)
    publish_heads(store, tmp_path / "heads.json")
    (other,) = (path for path in (store_dir / "manifest").glob("*.jsonl") if '"run-b"' in path.read_text())
    other.write_bytes(other.read_bytes()[:-10])
    next((store_dir / "segments").rglob("*000000.parquet")).unlink()
    for published in ([], [read_published(tmp_path / "heads.json")]):
        proof = prove_decision(store, ask(), published)
        assert run_script(tmp_path, proof, tmp_path / "heads.json").returncode == 0


def test_a_proof_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line among 202 needs 8 hashes, not the lines after it."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    fill_store(tmp_path / "s", n_batches=200)
    proof = prove_decision(open_store(tmp_path / "s"), ask())
    assert (proof["seq"], proof["head"]["seq"], len(proof["line_siblings"])) == (2, 201, 8)
    assert len(render(proof)) < 5_000

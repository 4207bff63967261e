"""What cannot be stored is refused in one sentence, with the first row that is wrong, and the store stays as it was."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moe_core.errors import InputError, LogError, RouteLensError
from moe_core.log.imports.parquet import import_parquet
from tests.unit.log.build import fill_store
from tests.unit.log.imports.build import (
    RUN,
    Table,
    bytes_of,
    changed,
    decision_table,
    reordered,
    request_table,
    token_table,
    without,
    write_folder,
)

NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds a run already; nothing in this file may change it."""
    path = tmp_path_factory.mktemp("filled") / "store"
    fill_store(path, "there", n_batches=1)
    return path


def refusal(folder: Path, store: Path) -> str:
    """The sentence; after checking that it is one, and that neither that store nor an absent one was touched."""
    before = bytes_of(store)
    with pytest.raises(RouteLensError) as caught:
        import_parquet(folder, store)
    sentence = str(caught.value)
    with pytest.raises(RouteLensError) as again:
        import_parquet(folder, folder / "absent")
    assert str(again.value) == sentence
    assert bytes_of(store) == before
    assert not (folder / "absent").exists()
    assert "\n" not in sentence
    assert str(folder) in sentence
    return sentence


def in_full(expected: str) -> str:
    """The tables below say `row 5: ...` for short."""
    return re.sub(r"^row (\d+): ", r"row \1 (counted from 0): ", expected)


Change = Callable[[Table], Any]
DECISION_FAULTS: dict[str, tuple[Change, str]] = {
    "prob above 1": (lambda t: changed(t, 5, prob=1.5), "row 5: prob is 1.5, outside 0 to 1"),
    "prob below 0": (lambda t: changed(t, 0, prob=-0.25), "row 0: prob is -0.25, outside 0 to 1"),
    "prob NaN": (lambda t: changed(t, 7, prob=NAN), "row 7: prob is NaN; write NULL"),
    "logit NaN": (lambda t: changed(t, 1, logit=NAN), "row 1: logit is NaN; write NULL"),
    "logit infinite": (lambda t: changed(t, 2, logit=-INF), "row 2: logit is -inf, outside"),
    "margin infinite": (lambda t: changed(t, 2, margin=INF), "row 2: margin is inf, outside"),
    "gate weight": (lambda t: changed(t, 3, gate_weight=1e6), "row 3: gate_weight is 1000000, outside"),
    "unknown expert": (
        lambda t: changed(t, 4, expert_id=3),
        "row 4: expert_id is 3, but run 'r1' has n_experts 3; ids count from 0",
    ),
    "unknown layer": (
        lambda t: changed(t, 4, layer=2), "row 4: layer is 2, but run 'r1' has n_layers 2",
    ),
    "negative expert": (lambda t: changed(t, 4, expert_id=-1), "row 4: expert_id is -1, outside 0 to"),
    "negative layer": (lambda t: changed(t, 4, layer=-1), "row 4: layer is -1, outside 0 to"),
    "negative position": (
        lambda t: changed(t, 6, position=-2), "row 6: position is -2, outside 0 to",
    ),
    "huge position": (lambda t: changed(t, 6, position=2**40), f"row 6: position is {2**40}, outside"),
    "position beyond n_tokens": (
        lambda t: changed(t, 6, position=2),
        "row 6: position is 2, but request 'a' has n_tokens 2 in requests.parquet",
    ),
    "negative rank": (lambda t: changed(t, 8, rank=-1), "row 8: rank is -1, outside 0 to"),
    "unknown flag": (lambda t: changed(t, 8, flags=32), "row 8: flags is 32, outside 0 to 31"),
    "position NULL": (lambda t: changed(t, 9, position=None), "row 9: position is NULL"),
    "layer NULL": (lambda t: changed(t, 9, layer=None), "row 9: layer is NULL"),
    "selected NULL": (lambda t: changed(t, 9, selected=None), "row 9: selected is NULL"),
    "request_id NULL": (lambda t: changed(t, 9, request_id=None), "row 9: request_id is NULL"),
    "run_id NULL": (lambda t: changed(t, 9, run_id=None), "row 9: run_id is NULL"),
    "orphan request": (
        lambda t: changed(t, 10, request_id="z"),
        "row 10: request_id is 'z', which requests.parquet does not list for run 'r1'",
    ),
    "orphan run": (
        lambda t: changed(t, 10, run_id="r9"),
        "row 10: run_id is 'r9', which runs.json does not list",
    ),
    "duplicate key": (
        lambda t: changed(t, 3, expert_id=1),
        "row 3: request 'a', position 0, layer 1, expert_id 1 was listed before, in row 2",
    ),
    "duplicate key far away": (
        lambda t: reordered(t, [*range(12), 3]),
        "row 12: request 'a', position 0, layer 1, expert_id 2 was listed before, in row 3",
    ),
    "two duplicates in scattered rows": (
        lambda t: reordered(t, [0, 8, 1, 8, 0, 2, 3]),
        "row 3: request 'b', position 0, layer 0, expert_id 1 was listed before, in row 1",
    ),
    "two tokens at one position": (
        lambda t: t | {"token_id": [5, 5, 5, 6] + [7] * 8},
        "row 3: token_id is 6, but another row has 5 at position 0 of request 'a'",
    ),
    "negative token": (lambda t: t | {"token_id": [-5] * 12}, "row 0: token_id is -5, outside"),
    "two faults": (
        lambda t: changed(changed(t, 8, prob=7.0), 2, request_id="z"), "row 2: request_id is 'z'",
    ),
    "two faults, the other way": (
        lambda t: changed(changed(t, 2, prob=7.0), 8, request_id="z"), "row 2: prob is 7",
    ),
    "a fault in scattered rows": (
        lambda t: changed(reordered(t, [0, 8, 1, 9, 2, 3, 4, 5, 6, 7, 10, 11]), 11, prob=2.0),
        "row 11: prob is 2, outside",
    ),
    "no run_id": (lambda t: without(t, "run_id"), "lacks the column 'run_id', which must be there; it has request_id,"),
    "no layer": (lambda t: without(t, "layer"), "lacks the column 'layer', which must be there; it has run_id,"),
    "no values": (lambda t: t | {"layer": [None] * 12}, "has no values in the column 'layer'"),
    "text layer": (
        lambda t: t | {"layer": list(map(str, t["layer"]))},
        "the column 'layer' is of type string; it must be an integer type: convert it",
    ),
    "real expert": (
        lambda t: t | {"expert_id": list(map(float, t["expert_id"]))}, "the column 'expert_id' is of type double",
    ),
    "text prob": (lambda t: t | {"prob": ["0.5"] * 12}, "the column 'prob' is of type string; it must be a number"),
    "number id": (lambda t: t | {"request_id": [1] * 12}, "the column 'request_id' is of type int64; it must be text"),
    "number selected": (lambda t: t | {"selected": [1] * 12}, "'selected' is of type int64; it must be BOOLEAN"),
    "no rows": (lambda t: {name: pa.array(values)[:0] for name, values in t.items()}, "has no rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", DECISION_FAULTS)
def test_a_decision_that_cannot_be_stored(tmp_path: Path, filled: Path, name: str) -> None:
    """File, first wrong row or column, the value, what to do."""
    change, expected = DECISION_FAULTS[name]
    sentence = refusal(write_folder(tmp_path / "in", decisions=change(decision_table())), filled)
    assert in_full(expected) in sentence
    assert "decisions.parquet" in sentence


REQUEST_FAULTS: dict[str, tuple[Change, str]] = {
    "duplicate": (
        lambda t: changed(t, 1, request_id="a"), "row 1: request_id 'a' was listed before",
    ),
    "orphan": (lambda t: changed(t, 1, run_id="r2"), "row 1: run_id is 'r2', which runs.json does not"),
    "empty id": (lambda t: changed(t, 1, request_id=""), "row 1: request_id is empty"),
    "no id": (lambda t: without(t, "request_id"), "lacks the column 'request_id'"),
    "negative n_tokens": (lambda t: changed(t, 1, n_tokens=-1), "row 1: n_tokens is -1, outside 0"),
    "score NaN": (lambda t: t | {"score": [0.5, NAN]}, "row 1: score is NaN; write NULL"),
    "score infinite": (lambda t: t | {"score": [INF, 0.5]}, "row 0: score is inf"),
    "negative latency": (lambda t: t | {"latency_ms": [1.0, -1.0]}, "row 1: latency_ms is -1"),
    "active fraction": (
        lambda t: t | {"active_fraction": [0.5, 1.5]}, "row 1: active_fraction is 1.5, outside 0 to 1",
    ),
    "flops": (lambda t: t | {"flops": [1, -7]}, "row 1: flops is -7, outside"),
    "number label": (lambda t: t | {"label": [0, 1]}, "the column 'label' is of type int64; it must be text"),
    "number time": (lambda t: t | {"started_at": [0, 1]}, "the column 'started_at' is of type int64; it must be TIME"),
    "no time": (
        lambda t: t | {"started_at": ["2026-03-01", "yesterday"]},
        "row 1: started_at is 'yesterday'; write a time such as",
    ),
    "attributes not JSON": (
        lambda t: t | {"attributes": ["{}", "group=a"]}, "row 1: attributes is 'group=a', which is not JSON",
    ),
    "attributes a list": (
        lambda t: t | {"attributes": ["[1]", "{}"]}, "row 0: attributes is [1], not a JSON object",
    ),
    "attributes nested": (
        lambda t: t | {"attributes": [{"a": {"b": 1}}, None]}, "row 0: attributes has 'a' = {'b': 1}",
    ),
    "attributes twice": (
        lambda t: t | {"attributes": pa.array([[], [("g", "a"), ("g", "b")]], pa.map_(pa.string(), pa.string()))},
        "row 1: attributes has the name 'g' more than once",
    ),
    "invalid UTF-8": (
        lambda t: t | {"text": pa.StringArray.from_buffers(2, pa.py_buffer(np.array([0, 1, 2], "<i4")),
                                                           pa.py_buffer(b"a\xff"))},
        "row 1: text is not valid UTF-8",
    ),
    "no rows": (lambda t: {name: pa.array(values)[:0] for name, values in t.items()}, "has no rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUEST_FAULTS)
def test_a_request_that_cannot_be_stored(tmp_path: Path, filled: Path, name: str) -> None:
    """The same for requests.parquet."""
    change, expected = REQUEST_FAULTS[name]
    sentence = refusal(write_folder(tmp_path / "in", requests=change(request_table())), filled)
    assert in_full(expected) in sentence
    assert "requests.parquet" in sentence


TOKEN_FAULTS: dict[str, tuple[Change, str]] = {
    "twice": (
        lambda t: changed(t, 1, position=0), "row 1: position 0 of request 'a' was listed before",
    ),
    "orphan": (lambda t: changed(t, 2, request_id="q"), "row 2: request_id is 'q'"),
    "beyond": (lambda t: changed(t, 2, position=1), "row 2: position is 1, but request 'b' has n_tokens 1"),
    "NULL": (lambda t: changed(t, 0, token_id=None), "row 0: token_id is NULL"),
    "no token_id": (lambda t: without(t, "token_id"), "lacks the column 'token_id'"),
}  # fmt: skip


@pytest.mark.parametrize("name", TOKEN_FAULTS)
def test_a_token_that_cannot_be_stored(tmp_path: Path, filled: Path, name: str) -> None:
    """The same for tokens.parquet."""
    change, expected = TOKEN_FAULTS[name]
    sentence = refusal(write_folder(tmp_path / "in", tokens=change(token_table())), filled)
    assert in_full(expected) in sentence
    assert "tokens.parquet" in sentence


def test_token_ids_that_contradict_the_tokens_file(tmp_path: Path, filled: Path) -> None:
    """decisions.parquet says 99 where tokens.parquet says 12."""
    decisions = decision_table() | {"token_id": [11] * 4 + [99] * 4 + [13] * 4}
    folder = write_folder(tmp_path / "in", decisions=decisions, tokens=token_table())
    assert "row 4 (counted from 0): token_id is 99, but tokens.parquet has 12 at position 1" in refusal(folder, filled)


RUN_FAULTS: dict[str, tuple[Any, str]] = {
    "no object": (7, "must hold one object"),
    "empty list": ([], "must hold one object"),
    "text": (["r1"], "run 0 (counted from 0) is not an object"),
    "no layers": (RUN | {"n_layers": 0}, "run 0 (counted from 0): n_layers is 0; write a whole number from 1"),
    "half an expert": ([RUN | {"n_experts": 2.5}], "n_experts is 2.5; write a whole number"),
    "true layers": (RUN | {"n_layers": True}, "n_layers is True"),
    "too many": (RUN | {"n_layers": 32768, "n_experts": 32768}, "are more than 16,777,216 experts"),
    "twice": ([RUN, RUN], "run 1 (counted from 0): run_id 'r1' was given before"),
    "one without id": ([RUN, {"n_layers": 2}], "run 1 (counted from 0) has no run_id"),
    "unusable id": (RUN | {"run_id": " r1"}, "run 0 (counted from 0): Run id ' r1' cannot be used"),
    "number id": (RUN | {"run_id": 3}, "run_id is 3, not a text"),
    "bad time": (RUN | {"started_at": "soon"}, "started_at is 'soon'; write a time such as"),
    "text budget": (RUN | {"budget": "half"}, "budget is 'half'; write a number, or null"),
    "list config": (RUN | {"config": [1]}, "config is [1]; write an object"),
    "text config": (RUN | {"config": "a=1"}, "config is a text but not JSON"),
}


@pytest.mark.parametrize("name", RUN_FAULTS)
def test_a_run_that_cannot_be_stored(tmp_path: Path, filled: Path, name: str) -> None:
    """The run by its place in runs.json, and the key."""
    runs, expected = RUN_FAULTS[name]
    sentence = refusal(write_folder(tmp_path / "in", runs=runs), filled)
    assert expected in sentence
    assert "runs.json" in sentence


@pytest.mark.parametrize("raw", [b"", b"{", b'{"run_id": "r\xff"}', b'{"budget": NaN}', b'{"budget": 1e999}',
                                 b'{"model": "\\ud800"}'])  # fmt: skip
def test_a_runs_file_that_is_not_json(tmp_path: Path, filled: Path, raw: bytes) -> None:
    """Broken, not UTF-8, NaN, infinity, half a surrogate pair."""
    folder = write_folder(tmp_path / "in")
    (folder / "runs.json").write_bytes(raw)
    assert "runs.json is not JSON in UTF-8" in refusal(folder, filled)


def test_a_run_without_id_takes_that_of_the_requests_unless_there_are_two(tmp_path: Path, filled: Path) -> None:
    """Two run ids in requests.parquet, and a runs.json that names none."""
    folder = write_folder(
        tmp_path / "in", runs=RUN | {"run_id": None}, requests=changed(request_table(), 1, run_id="r2")
    )
    assert "has no run_id, and" in refusal(folder, filled)


@pytest.mark.parametrize("name", ["runs.json", "requests.parquet", "decisions.parquet"])
@pytest.mark.parametrize("fault", ["missing", "folder", "empty", "other format", "cut"])
def test_a_file_that_cannot_be_read(tmp_path: Path, filled: Path, name: str, fault: str) -> None:
    """Missing, a folder (as Spark writes), 0 bytes, no Parquet, the first half only."""
    folder = write_folder(tmp_path / "in")
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if fault == "folder":
        path.mkdir()
    elif fault != "missing":
        path.write_bytes(
            {"empty": b"", "other format": b"run_id,layer\n" * 99, "cut": content[: len(content) // 2]}[fault]
        )
    assert name in refusal(folder, filled)


def test_there_is_no_folder(tmp_path: Path, filled: Path) -> None:
    """The sentence says what it must hold."""
    before = bytes_of(filled)
    with pytest.raises(InputError, match=r"There is no folder .*nowhere; give the one that holds runs\.json"):
        import_parquet(tmp_path / "nowhere", filled)
    assert bytes_of(filled) == before


@pytest.mark.parametrize("name", ["requests.parquet", "decisions.parquet", "tokens.parquet"])
def test_a_flipped_bit_is_refused_or_harmless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filled: Path, name: str
) -> None:
    """40 bits of a file with page checksums: whatever the flip hits, one sentence or no harm, never a traceback."""
    monkeypatch.setattr("moe_core.log.imports.parquet.store_runs", lambda *_: None)  # the checks are what is tried
    folder = write_folder(tmp_path / "in", tokens=token_table())
    pq.write_table(pq.read_table(folder / name), folder / name, write_page_checksum=True)
    content = (folder / name).read_bytes()
    rng = np.random.default_rng(3)
    sentences = []
    for place in rng.integers(0, len(content), 40).tolist():
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        (folder / name).write_bytes(flipped)
        try:
            import_parquet(folder, filled)
        except RouteLensError as error:
            sentences.append(str(error))
    assert len(sentences) > 12
    assert not any("\n" in sentence for sentence in sentences)


def test_a_column_that_is_there_twice(tmp_path: Path, filled: Path) -> None:
    """Which of the two would count?"""
    folder = write_folder(tmp_path / "in")
    table = pa.table(decision_table())
    pq.write_table(table.append_column("layer", table.column("layer")), folder / "decisions.parquet")
    assert "has the column 'layer' more than once" in refusal(folder, filled)


def test_a_time_outside_the_calendar(tmp_path: Path, filled: Path) -> None:
    """Seconds of a year that no calendar has; the row is named."""
    requests = request_table() | {"started_at": pa.array([0, 2**42], pa.timestamp("s"))}
    assert "row 1 (counted from 0): started_at" in refusal(write_folder(tmp_path / "in", requests=requests), filled)


def test_the_store_has_the_run_already(tmp_path: Path) -> None:
    """The second import is refused and adds nothing, also where only one of two runs is there."""
    folder = write_folder(tmp_path / "in")
    import_parquet(folder, tmp_path / "store")
    before = bytes_of(tmp_path / "store")
    write_folder(folder, runs=[RUN | {"run_id": "r0"}, RUN])
    with pytest.raises(LogError, match=r"has a run 'r1' already, which is whole; nothing was imported: give the run"):
        import_parquet(folder, tmp_path / "store")
    assert bytes_of(tmp_path / "store") == before


def test_a_store_of_a_newer_version(tmp_path: Path) -> None:
    """It is refused before anything is read."""
    fill_store(tmp_path / "store", n_batches=1)
    path = tmp_path / "store" / "store.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 999}))
    with pytest.raises(LogError, match="schema version 999"):
        import_parquet(write_folder(tmp_path / "in"), tmp_path / "store")


def test_experts_beyond_all_reason_where_their_number_is_inferred(tmp_path: Path, filled: Path) -> None:
    """Layer 30000 and expert 30000 of a run without n_layers and n_experts: more likely a mistake than a model."""
    decisions = changed(changed(decision_table(), 0, layer=30000), 11, expert_id=30000)
    folder = write_folder(tmp_path / "in", runs=without(RUN, "n_layers", "n_experts"), decisions=decisions)
    assert "give n_layers and n_experts in runs.json" in refusal(folder, filled)


def test_a_file_that_changes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody writes to requests.parquet after it was checked: refused before the run is announced."""
    from moe_core.log.imports import store as import_store
    from moe_core.log.verify import verify_store

    folder = write_folder(tmp_path / "in")
    sweep = import_store.sweep_unlisted

    def sweep_and_touch(store: Any) -> int:
        write_folder(folder, requests=request_table() | {"started_at": [datetime(2026, 3, 1)] * 2})
        return sweep(store)

    monkeypatch.setattr(import_store, "sweep_unlisted", sweep_and_touch)
    with pytest.raises(InputError, match="changed while it was imported"):
        import_parquet(folder, tmp_path / "store")
    report = verify_store(tmp_path / "store")
    assert (report.ok, report.segments, report.notes) == (True, 0, ())
    assert list((tmp_path / "store" / "segments").iterdir()) == []

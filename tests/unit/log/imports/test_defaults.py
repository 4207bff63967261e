"""What an import may leave out, what then stands in for it, and what the quality card says about it."""

import json
import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moe_core.log.console import run_select
from moe_core.log.imports.columns import DECISION_COLUMNS, REQUEST_COLUMNS, TOKEN_COLUMNS
from moe_core.log.imports.parquet import import_parquet
from moe_core.log.imports.spool import Spool
from moe_core.log.verify import verify_store
from tests.unit.log.imports.build import (
    RUN,
    Table,
    changed,
    decision_table,
    request_table,
    token_table,
    without,
    write_folder,
)

NEEDED = ("run_id", "request_id", "position", "layer", "expert_id")


def rows(store: Path, sql: str) -> list[list[Any]]:
    return run_select(store, sql).rows


def card_of(tmp_path: Path, **tables: Any) -> dict[str, Any]:
    """The card of run r1, imported into tmp_path/store."""
    result = import_parquet(write_folder(tmp_path / "in", **tables), tmp_path / "store")
    return dict(result.quality_cards["r1"])


def test_the_least_that_can_be_imported(tmp_path: Path) -> None:
    """Five columns of decisions, two of requests, and a runs.json that says nothing: all else is filled in as
    documented, and each of it is in the card."""
    table = decision_table()
    decisions = {name: table[name] for name in NEEDED}
    requests = {name: request_table()[name] for name in ("run_id", "request_id")}
    card = card_of(tmp_path, runs={}, requests=requests, decisions=decisions)
    (run,) = rows(tmp_path / "store", "SELECT * EXCLUDE (started_at, config, software, quality_card) FROM runs")
    assert run == ["r1", "import:parquet", "unknown", "unknown", 2, 3, "unknown", None]
    found = rows(tmp_path / "store", "SELECT * FROM decisions WHERE request_id = 'b' ORDER BY layer, rank")
    expected = [["r1", "b", 0, None, layer, expert, expert - 1, True, None, None, None, None, 16]
                for layer in (0, 1) for expert in (1, 2)]  # fmt: skip
    assert found == expected
    columns = "request_id, n_tokens, active_fraction, flops, latency_ms, mode, attributes, text, text_hash"
    assert rows(tmp_path / "store", f"SELECT {columns} FROM requests ORDER BY 1") == [
        ["a", 2, 2 / 3, 0, None, "unknown", None, None, None], ["b", 1, 2 / 3, 0, None, "unknown", None, None, None],
    ]  # fmt: skip
    notes = " ".join(card["notes"])
    for word in ("run_id; 'r1' was taken", "n_layers; 2 was inferred", "n_experts; 3 was inferred", "model;", "mode;",
                 "time of the import"):  # fmt: skip
        assert word in notes
    assert set(card["not_given"]["decisions.parquet"]) == set(decision_table()) - set(NEEDED) | {"token_id"}
    assert card["unknown_share"]["decisions"] == {"logit": 1.0, "prob": 1.0, "gate_weight": 1.0, "margin": 1.0}
    assert card["unknown_share"]["requests"]["text"] == 1.0


def test_the_card_of_a_complete_import_counts_by_hand(tmp_path: Path) -> None:
    """12 decisions, 3 tokens in 2 layers, one executed expert each; expert 0 never occurs, expert 2 never ran."""
    card = card_of(tmp_path, decisions=changed(decision_table(), 3, margin=None))
    assert (card["rows"], card["requests"], card["tokens"], card["n_layers"], card["n_experts"]) == (12, 2, 3, 2, 3)
    assert card["unknown_share"]["decisions"] == {
        "logit": 0.0, "prob": 0.0, "gate_weight": 0.0, "margin": round(1 / 12, 6),
    }  # fmt: skip
    assert card["executed_per_token_and_layer"] == {"min": 1, "mean": 1.0, "max": 1}
    assert (card["experts_never_seen"], card["experts_never_executed"], card["layers_never_seen"]) == (2, 4, [])
    assert card["tokens_and_layers_decided"] == 1.0
    assert card["suspicious"] == []
    assert card["files"]["decisions.parquet"]["rows"] == 12
    assert len(card["files"]["runs.json"]["sha256"]) == 64
    (stored,) = rows(tmp_path / "store", "SELECT quality_card FROM runs")
    assert json.loads(stored[0]) == json.loads(json.dumps(card))


SUSPICIONS: dict[str, tuple[Any, str]] = {
    "only_expert_0": (
        lambda t: {name: values[::2] for name, values in t.items()} | {"expert_id": [0] * 6, "rank": [0] * 6},
        "Every decision in layers 0, 1 is for expert 0",
    ),
    "prob_sum": (lambda t: changed(t, 3, prob=0.75), "In 1 of 6 pairs of a token and a layer the probabilities add up"),
    "logits_look_like_probs": (lambda t: t | {"logit": t["prob"]}, "Every logit lies between 0 and 1"),
    "constant_margin": (lambda t: t | {"margin": [0.25] * 12}, "The column margin is 0.25 wherever it is known"),
    "nothing_executed": (lambda t: t | {"selected": [False] * 12}, "In 6 pairs of a token and a layer no expert was"),
    "many_not_executed": (lambda t: t | {"selected": [False] * 12}, "6 pairs of a token and a layer list more"),
    "rank_of_not_executed": (
        lambda t: t | {"rank": [2 - e for e in t["expert_id"]]}, "In 6 places an expert that was not executed ranks",
    ),
    "rank_gaps": (lambda t: t | {"rank": [0] * 12}, "6 ranks do not count 0, 1, 2"),
}  # fmt: skip


@pytest.mark.parametrize("key", SUSPICIONS)
def test_what_looks_odd_is_imported_and_said(tmp_path: Path, key: str) -> None:
    """A key under `suspicious`, a sentence with its count under `notes`."""
    change, sentence = SUSPICIONS[key]
    card = card_of(tmp_path, decisions=change(decision_table()))
    assert key in card["suspicious"]
    assert any(sentence in note for note in card["notes"]), card["notes"]
    assert verify_store(tmp_path / "store").ok


def test_gaps_are_said(tmp_path: Path) -> None:
    """A third layer without decisions, a request without decisions, a column and a key that nobody knows."""
    requests = {
        name: [*values, extra] for (name, values), extra in zip(request_table().items(), ("r1", "c", 3), strict=True)
    }
    card = card_of(
        tmp_path, runs=RUN | {"n_layers": 3, "n_expert": 3}, requests=requests | {"colour": ["red"] * 3},
        decisions=decision_table() | {"gate": [1.0] * 12},
    )  # fmt: skip
    notes = " ".join(card["notes"])
    assert card["layers_never_seen"] == [2]
    assert "No decision was made in layer 2 of 3 layers" in notes
    assert "1 of 3 requests have no decisions" in notes
    assert "Decisions cover 33.3% of all pairs" in notes
    assert "not used: 'n_expert'" in notes
    assert card["ignored_columns"] == {"requests.parquet": ["colour"], "decisions.parquet": ["gate"]}


def test_rank_follows_the_score_and_executed_experts_come_first(tmp_path: Path) -> None:
    """Without rank: by gate_weight, of equals the earlier row first; a NULL comes last; what did not run comes last."""
    decisions = {
        "run_id": ["r1"] * 5, "request_id": ["a"] * 5, "position": [0] * 5, "layer": [0] * 5,
        "expert_id": [0, 1, 2, 3, 4], "selected": [True, False, True, True, True],
        "gate_weight": [0.25, 0.9, None, 0.5, 0.25],
    }  # fmt: skip
    card_of(tmp_path, runs=RUN | {"n_experts": 5}, decisions=decisions)
    found = rows(tmp_path / "store", "SELECT expert_id FROM decisions ORDER BY rank")
    assert [expert for (expert,) in found] == [3, 0, 4, 2, 1]


@pytest.mark.parametrize(("column", "sign"), [("prob", 1), ("logit", 1), (None, 0)])
def test_rank_takes_the_next_score_there_is(tmp_path: Path, column: str | None, sign: int) -> None:
    """gate_weight, else prob, else logit, else the order of the rows."""
    decisions: Table = {
        "run_id": ["r1"] * 3, "request_id": ["a"] * 3, "position": [1] * 3, "layer": [1] * 3, "expert_id": [2, 0, 1],
    }  # fmt: skip
    if column is not None:
        decisions[column] = [0.125, 0.5, 0.25]
    card_of(tmp_path, decisions=decisions)
    found = rows(tmp_path / "store", "SELECT expert_id FROM decisions ORDER BY rank")
    assert [expert for (expert,) in found] == ([0, 1, 2] if sign else [2, 0, 1])


def test_rows_that_are_not_in_order_are_put_in_order(tmp_path: Path) -> None:
    """Layer by layer instead of position by position, ranks upside down: the same trace."""
    table = decision_table()
    order = sorted(range(12), key=lambda i: (table["request_id"][i], table["layer"][i], -table["rank"][i], i))
    card_of(tmp_path, decisions={name: [values[i] for i in order] for name, values in table.items()})
    import_parquet(write_folder(tmp_path / "in"), tmp_path / "straight")
    sql = "SELECT * FROM decisions ORDER BY ALL"
    assert rows(tmp_path / "store", sql) == rows(tmp_path / "straight", sql)
    assert verify_store(tmp_path / "store").ok


ATTRIBUTES: dict[str, Any] = {
    "map": pa.array([[("group", "ä"), ("n", "3")], None], pa.map_(pa.string(), pa.string())),
    "map of numbers": pa.array([[("group", 1.5)], None], pa.map_(pa.string(), pa.float64())),
    "struct": [{"group": "ä", "n": 3, "none": None, "ok": True}, {"group": None, "n": None, "none": None, "ok": None}],
    "struct of times": [{"day": date(2026, 3, 1), "price": Decimal("1.50"), "nan": float("nan")}, None],
    "JSON": ['{"group": "ä", "n": 3, "x": null, "ok": false}', None],
}


@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_attributes_in_every_form(tmp_path: Path, kind: str) -> None:
    """MAP, STRUCT or JSON: texts by name; what is NULL is left out."""
    card_of(tmp_path, requests=request_table() | {"attributes": ATTRIBUTES[kind]})
    expected = {
        "map": {"group": "ä", "n": "3"},
        "map of numbers": {"group": "1.5"},
        "struct": {"group": "ä", "n": "3", "ok": "true"},
        "struct of times": {"day": "2026-03-01", "price": "1.50"},
        "JSON": {"group": "ä", "n": "3", "ok": "false"},
    }[kind]
    found = rows(tmp_path / "store", "SELECT attributes FROM requests ORDER BY request_id")
    assert found[0][0] == expected
    assert found[1][0] == ({} if kind == "struct" else None)


TIMES: dict[str, Any] = {
    "UTC": pa.array([0, 1_000_000], pa.timestamp("us", "UTC")),
    "elsewhere": pa.array([0, 1_000], pa.timestamp("ms", "Asia/Tokyo")),
    "no zone": pa.array([0, 1_000_000_999], pa.timestamp("ns")),
    "text": ["1970-01-01T09:00:00+09:00", "1970-01-01T00:00:01Z"],
    "text without zone": ["1970-01-01", "1970-01-01 00:00:01"],
}


@pytest.mark.parametrize("kind", TIMES)
def test_times_with_and_without_a_zone(tmp_path: Path, kind: str) -> None:
    """All are stored as UTC; where the file names no zone, UTC is assumed and the card says so."""
    card = card_of(tmp_path, requests=request_table() | {"started_at": TIMES[kind]})
    found = rows(tmp_path / "store", "SELECT started_at FROM requests ORDER BY 1")
    assert [moment for (moment,) in found] == ["1970-01-01T00:00:00", "1970-01-01T00:00:01"]
    assert any("has no time zone; UTC is assumed" in note for note in card["notes"]) == (
        kind in ("no zone", "text without zone")
    )


def test_a_run_takes_the_start_of_its_first_request(tmp_path: Path) -> None:
    """runs.json does not say when it started; a request without a time takes that of the run."""
    later = datetime(2026, 5, 2, 1, tzinfo=timezone(timedelta(hours=9)))
    card = card_of(tmp_path, runs=without(RUN, "started_at"), requests=request_table() | {"started_at": [None, later]})
    assert rows(tmp_path / "store", "SELECT started_at FROM runs") == [["2026-05-01T16:00:00"]]
    assert rows(tmp_path / "store", "SELECT DISTINCT started_at FROM requests") == [["2026-05-01T16:00:00"]]
    assert any("start of the earliest request was taken" in note for note in card["notes"])


def test_requests_of_many_days_lie_under_their_days(tmp_path: Path) -> None:
    """Retention drops whole days: a batch holds requests of one day, those without decisions too."""
    days = [datetime(2026, 3, 1 + i, 23, 59, tzinfo=UTC) for i in (2, 0, 1)]
    requests = {"run_id": ["r1"] * 3, "request_id": ["a", "b", "c"], "started_at": days}
    card_of(tmp_path, requests=requests)
    found = {
        path.parent.name: pq.read_table(path).num_rows for path in (tmp_path / "store").rglob("segments/**/*.parquet")
    }
    assert found == {"day=2026-03-03": 8, "day=2026-03-01": 4, "day=2026-03-02": 0}
    assert rows(tmp_path / "store", "SELECT request_id, n_tokens FROM requests ORDER BY 1") == [
        ["a", 2],
        ["b", 1],
        ["c", 0],
    ]


def test_tokens_from_their_own_file_or_from_the_decisions(tmp_path: Path) -> None:
    """tokens.parquet wins and may list more positions; without it the ids of the decisions are taken, NULL is none."""
    decisions = decision_table() | {"token_id": [None, 11, 11, 11, None, None, None, None, 13, 13, 13, 13]}
    card_of(tmp_path, requests=without(request_table(), "n_tokens"), decisions=decisions)
    sql = "SELECT request_id, position, token_id, is_special FROM tokens ORDER BY ALL"
    assert rows(tmp_path / "store", sql) == [["a", 0, 11, False], ["b", 0, 13, False]]
    tokens = {name: [*values, extra] for (name, values), extra in
              zip(token_table().items(), ("r1", "b", 4, 99, True), strict=True)}  # fmt: skip
    folder = write_folder(
        tmp_path / "in", requests=without(request_table(), "n_tokens"), decisions=decisions, tokens=tokens
    )
    import_parquet(folder, tmp_path / "two")
    assert rows(tmp_path / "two", sql) == [
        ["a", 0, 11, True], ["a", 1, 12, False], ["b", 0, 13, False], ["b", 4, 99, True],
    ]  # fmt: skip
    assert rows(tmp_path / "two", "SELECT n_tokens FROM requests ORDER BY request_id") == [[2], [5]]


def test_several_runs_in_one_folder(tmp_path: Path) -> None:
    """Rows of two runs mixed request by request, the same request ids in both, other sizes: each run gets its own."""
    one, two = decision_table(), decision_table()
    mixed: Table = {name: [] for name in one}
    for start, end in ((0, 8), (8, 12)):
        for run_id, table in (("r1", one), ("r2", two)):
            for name, values in table.items():
                mixed[name] += [run_id] * (end - start) if name == "run_id" else values[start:end]
    mixed = changed(mixed, 8, expert_id=4)  # of r2
    requests = {"run_id": ["r1", "r2", "r2", "r1"], "request_id": ["a", "b", "a", "b"]}
    folder = write_folder(tmp_path / "in", runs=[RUN, RUN | {"run_id": "r2", "n_experts": 5}], requests=requests,
                          decisions=mixed)  # fmt: skip
    result = import_parquet(folder, tmp_path / "store")
    assert (result.run_ids, result.decisions, result.requests) == (("r1", "r2"), 24, 4)
    assert [card["n_experts"] for card in result.quality_cards.values()] == [3, 5]
    sql = "SELECT run_id, request_id, count(*), max(expert_id) FROM decisions GROUP BY ALL ORDER BY ALL"
    assert rows(tmp_path / "store", sql) == [["r1", "a", 8, 2], ["r1", "b", 4, 2], ["r2", "a", 8, 4], ["r2", "b", 4, 2]]
    folder = write_folder(tmp_path / "in", runs=[RUN, RUN | {"run_id": "r2"}], requests=requests, decisions=mixed)
    with pytest.raises(Exception, match=r"row 8 \(counted from 0\): expert_id is 4, but run 'r2' has n_experts 3"):
        import_parquet(folder, tmp_path / "other")


def test_every_type_that_fits_is_taken(tmp_path: Path) -> None:
    """Small and unsigned integers, half and single floats, decimals, dictionaries, large texts, from pandas too."""
    table = decision_table()
    decisions = {
        "run_id": pa.array(table["run_id"]).dictionary_encode(),
        "request_id": pa.array(table["request_id"], pa.large_string()),
        "position": pa.array(table["position"], pa.uint64()),
        "layer": pa.array(table["layer"], pa.int8()),
        "expert_id": pa.array(table["expert_id"], pa.uint8()),
        "selected": table["selected"],
        "logit": pa.array(np.array(table["logit"], np.float16)),
        "prob": pa.array(table["prob"], pa.float32()),
        "gate_weight": pa.array([Decimal(str(value)) for value in table["gate_weight"]], pa.decimal128(8, 4)),
        "margin": pa.array([1] * 12, pa.int16()),
        "token_id": pa.array([11] * 4 + [None] * 8, pa.uint32()),
        "rank": pa.nulls(12),
    }  # fmt: skip
    card_of(tmp_path, decisions=decisions)
    import_parquet(write_folder(tmp_path / "in"), tmp_path / "plain")
    sql = (
        "SELECT position, layer, expert_id, rank, selected, logit, prob, gate_weight, flags FROM decisions ORDER BY ALL"
    )
    assert rows(tmp_path / "store", sql) == rows(tmp_path / "plain", sql)
    folder = write_folder(tmp_path / "pandas")
    pd.DataFrame(table).to_parquet(folder / "decisions.parquet")
    pd.DataFrame(request_table()).to_parquet(folder / "requests.parquet", index=False)
    import_parquet(folder, tmp_path / "third")
    assert rows(tmp_path / "third", sql) == rows(tmp_path / "plain", sql)


def test_the_documentation_names_every_column_and_its_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/import.md: the tables of columns are complete, the code can be copied."""
    page = (Path(__file__).resolve().parents[4] / "docs" / "import.md").read_text(encoding="utf-8")
    for column in (*DECISION_COLUMNS, *REQUEST_COLUMNS, *TOKEN_COLUMNS):
        shown = f"**{column.name}**" if column.instead is None else column.name
        assert re.search(rf"(?<!\w){re.escape(shown)}(?!\w)", page), shown
    monkeypatch.chdir(tmp_path)
    example = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert example is not None
    exec(example[1], {})
    assert import_parquet(tmp_path, tmp_path / "store").run_ids == ("mine-1",)
    assert rows(tmp_path / "store", "SELECT expert_id, rank FROM decisions ORDER BY rank") == [[5, 0], [2, 1], [7, 2]]


def test_many_small_portions_give_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Portions of 5 rows, batches of 6 decisions, a spool on the disk: requests stay whole, nothing is lost."""
    import_parquet(write_folder(tmp_path / "in"), tmp_path / "plain")
    monkeypatch.setattr("moe_core.log.imports.decisions.BATCH_ROWS", 5)
    monkeypatch.setattr("moe_core.log.imports.spool.BATCH_DECISIONS", 6)
    monkeypatch.setattr("moe_core.log.imports.spool.IN_MEMORY_BYTES", 10)
    import_parquet(tmp_path / "in", tmp_path / "store")
    for sql in ("SELECT * FROM decisions ORDER BY ALL", "SELECT * EXCLUDE text_hash FROM requests ORDER BY ALL"):
        assert rows(tmp_path / "store", sql) == rows(tmp_path / "plain", sql)
    report = verify_store(tmp_path / "store")
    assert (report.ok, report.segments, report.decisions) == (True, 2, 12)


def test_the_spool_writes_the_largest_part_first_when_it_holds_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two days of 3 and 2 rows at a limit of 5: the day with 3 goes, and both come back as they were."""
    from moe_core.log.encoding import quantise
    from tests.unit.log.build import make_batch

    monkeypatch.setattr("moe_core.log.imports.spool.BUFFERED_DECISIONS", 5)
    batch = make_batch([(0, i, 0, 0, 0, True, 1.0, 0.5, 1.0, 0.0, 0) for i in range(5)])
    decisions = quantise(batch, 0)
    with Spool() as spool:
        spool.add(0, "2026-03-01", type(decisions)(decisions.rows_N[:3]), np.array([0]))
        spool.add(0, "2026-03-02", type(decisions)(decisions.rows_N[3:]), np.array([1]))
        assert [(part.day, part.n_rows) for part in spool.batches] == [("2026-03-01", 3)]
        spool.finish()
        assert [(part.day, part.n_rows) for part in spool.batches] == [("2026-03-01", 3), ("2026-03-02", 2)]
        for part, expected in zip(spool.batches, (decisions.rows_N[:3], decisions.rows_N[3:]), strict=True):
            assert spool.read(part).rows_N.tobytes() == expected.tobytes()

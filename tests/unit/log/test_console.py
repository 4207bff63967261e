"""Read-only SQL in a child process."""

import json
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from moe_core.errors import QueryError
from moe_core.log.console import run_select
from moe_core.log.result_rows import to_json
from moe_core.log.writer import SegmentSink
from tests.unit.log.build import data_files, fill_store, make_request, make_run, plain_batch


def test_the_four_relations_answer(store_dir: Path) -> None:
    """1 run, 3 requests, 6 tokens, 24 decisions, joined as anybody likes."""
    found = run_select(
        store_dir,
        "SELECT (SELECT count(*) FROM runs) AS a, (SELECT count(*) FROM requests), (SELECT count(*) FROM tokens), "
        "count(*), count(token_id), count(DISTINCT request_id) FROM decisions",
    )
    assert found.columns[0] == "a"
    assert found.rows == [[1, 3, 6, 24, 24, 3]]
    assert (found.truncated, found.left_out) == (False, [])


def test_rows_are_json(tmp_path: Path) -> None:
    """Whatever a SELECT returns can be dumped: maps as objects, times as ISO texts, NaN as null."""
    with SegmentSink(tmp_path) as sink:
        sink.begin_run(make_run(quality_card={"rows": 1}))
        sink.append([make_request("r'1\n", attributes={"lang": "日本"}, text="\u202e<b>")], plain_batch([1]))
    found = run_select(tmp_path, "SELECT * FROM requests JOIN runs USING (run_id)")
    row = dict(zip(found.columns, found.rows[0], strict=True))
    assert row["attributes"] == {"lang": "日本"}
    assert row["started_at"] == "2026-03-01T10:30:00"
    assert (row["request_id"], row["text"]) == ("r'1\n", "\u202e<b>")
    assert json.loads(row["quality_card"]) == {"rows": 1}
    found = run_select(
        tmp_path,
        "SELECT 'nan'::DOUBLE, 'inf'::DOUBLE, 1.50::DECIMAL(4, 2), NULL, [1, 2], {'a': DATE '2026-01-02'}, "
        "2::HUGEINT ** 1, INTERVAL 1 MINUTE, TIME '10:00:00', 'ab'::BLOB, now()::TIMESTAMP IS NULL, "
        "MAP {7: 'x'}, sum(1)",
    )
    assert found.rows == [
        [None, None, 1.5, None, [1, 2], {"a": "2026-01-02"}, 2, 60.0, "10:00:00", "6162", False, {"7": "x"}, 1]
    ]
    json.dumps(found.rows, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None), (-math.inf, None), (0.5, 0.5), (True, True), (2**80, 2**80), ("x", "x"), (None, None),
        (Decimal("1.25"), 1.25), (Decimal("NaN"), None), (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),
        (date(2026, 1, 2), "2026-01-02"), (time(3, 4), "03:04:00"), (timedelta(hours=1), 3600.0), (b"\x00\xff", "00ff"),
        ({"a": math.nan}, {"a": None}), ([Decimal(1), (b"a",)], [1.0, ["61"]]), (UUID(int=1), str(UUID(int=1))),
    ],
)  # fmt: skip
def test_values_one_by_one(value: object, expected: object) -> None:
    """The conversion knows every type that DuckDB gives to Python."""
    assert to_json(value) == expected


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("", "exactly one SELECT; this is: nothing"),
        ("-- nothing", "this is: nothing"),
        ("SELECT 1; SELECT 2", "this is: SELECT, SELECT"),
        ("SELECT 1; DROP TABLE runs", "this is: SELECT, DROP"),
        ("DROP VIEW decisions", "this is: DROP"),
        ("DELETE FROM runs", "this is: DELETE"),
        ("INSERT INTO runs SELECT * FROM runs", "this is: INSERT"),
        ("CREATE TABLE x AS SELECT 1", "this is: CREATE"),
        ("COPY (SELECT 1) TO '{dir}/x.csv'", "this is: COPY"),
        ("ATTACH '{dir}/x.db'", "this is: ATTACH"),
        ("SET threads = 8", "this is: SET"),
        ("PRAGMA version", "this is: PRAGMA"),
        ("INSTALL httpfs", "this is: LOAD"),
        ("EXPORT DATABASE '{dir}/x'", "this is: EXPORT"),
        ("CALL duckdb_settings()", "this is: CALL"),
        ("EXPLAIN SELECT 1", "this is: EXPLAIN"),
        ("SELEC 1", "Parser Error"),
        ("SELECT nope FROM runs", "Binder Error"),
        ("SELECT * FROM read_text('{dir}/store.json')", r"does not allow read_text\(\)"),
        ("SELECT * FROM read_parquet('{dir}/requests/**')", r"does not allow read_parquet\(\)"),
        ("SELECT * FROM '{dir}/store.json'", "There is no relation"),
        ("SELECT * FROM glob('{dir}/*')", r"does not allow glob\(\)"),
        ("SELECT * FROM read_csv('/etc/passwd')", r"does not allow read_csv\(\)"),
        ("SELECT * FROM query('COPY runs TO ''{dir}/x.csv''')", r"does not allow query\(\)"),
        ("SELECT len(range(3000000000))", "more than 1024 MB of memory"),
        ("SELECT now()", "cast it to TIMESTAMP"),
    ],
)
def test_everything_else_is_refused(store_dir: Path, sql: str, reason: str) -> None:
    """One sentence says why; the store is not touched, and nothing appears beside it."""
    before = {path: path.read_bytes() for path in data_files(store_dir)}
    with pytest.raises(QueryError, match=reason):
        run_select(store_dir, sql.replace("{dir}", str(store_dir)))
    assert {path: path.read_bytes() for path in data_files(store_dir)} == before
    assert not list(store_dir.glob("x*"))


@pytest.mark.parametrize(
    "sql",
    ["SELECT count(*) FROM range(1000000000000)", "SELECT length(repeat('x', 2000000000) || repeat('y', 2000000000))"],
)
def test_a_statement_without_end_is_stopped(store_dir: Path, sql: str) -> None:
    """By DuckDB's own limits where they work, by the parent's kill or the memory cap where they do not."""
    with pytest.raises(QueryError, match=r"stopped after 0\.5 seconds|more than 256 MB of memory"):
        run_select(store_dir, sql, timeout_seconds=0.5, memory_mb=256)


def test_a_long_answer_is_cut_and_says_so(store_dir: Path) -> None:
    """max_rows is a limit of the answer, not of the question."""
    found = run_select(store_dir, "SELECT * FROM decisions", max_rows=5)
    assert (len(found.rows), found.truncated) == (5, True)
    found = run_select(store_dir, "SELECT * FROM decisions", max_rows=24)
    assert (len(found.rows), found.truncated) == (24, False)
    with pytest.raises(QueryError, match="at least 1"):
        run_select(store_dir, "SELECT 1", max_rows=0)


def test_a_damaged_file_is_left_out_and_named(store_dir: Path) -> None:
    """The answer counts 16 of 24 decisions and says which file is missing from it; also when the damage comes after a
    first, undamaged look."""
    assert run_select(store_dir, "SELECT count(*) FROM decisions").rows == [[24]]
    segment = sorted((store_dir / "segments").rglob("*.parquet"))[0]
    data = bytearray(segment.read_bytes())
    data[-50] ^= 8
    segment.write_bytes(data)
    found = run_select(store_dir, "SELECT count(*) FROM decisions")
    assert found.rows == [[16]]
    assert segment.name in found.left_out[0]


def test_files_that_no_manifest_lists_are_not_seen(store_dir: Path) -> None:
    """An orphan beside the segments changes no count."""
    segment = next((store_dir / "segments").rglob("*.parquet"))
    segment.with_name("orphan.parquet").write_bytes(segment.read_bytes())
    assert run_select(store_dir, "SELECT count(*) FROM decisions").rows == [[24]]


def test_an_empty_store_answers(tmp_path: Path) -> None:
    """No file yet, but all relations."""
    fill_store(tmp_path, n_batches=0)
    sql = "SELECT (SELECT count(*) FROM requests), (SELECT count(*) FROM tokens), count(*) FROM decisions"
    assert run_select(tmp_path, sql).rows == [[0, 0, 0]]


def test_strange_run_ids_stay_text(tmp_path: Path) -> None:
    """Ids that look like numbers, dates, paths or SQL come back as they were, through folder names and joins."""
    ids = ["007", "2026-03-01", "a/b=c", "it's", "50% off", "日本", "NULL", "null", "."]
    with SegmentSink(tmp_path) as sink:
        for run_id in ids:
            sink.begin_run(make_run(run_id))
            sink.append([make_request(f"r-{run_id}")], plain_batch([1]))
    found = run_select(tmp_path, "SELECT run_id, count(*) FROM decisions GROUP BY ALL")
    assert {row[0]: row[1] for row in found.rows} == dict.fromkeys(ids, 4)

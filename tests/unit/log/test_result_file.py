"""Answers as typed tables and as files."""

import io
import os
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moe_core.errors import InputError, SegmentError
from moe_core.log import segments
from moe_core.log.console import SelectResult, run_select
from moe_core.log.result_file import csv_text, parquet_file, result_frame, result_table, unique_names, write_result


def answer(types: list[str], *rows: list[object]) -> SelectResult:
    return SelectResult([f"c{i}" for i in range(len(types))], types, list(rows), None, [])


@pytest.mark.parametrize(
    ("kind", "value", "expected_type", "expected"),
    [
        ("INTEGER", 7, pa.int64(), 7), ("HUGEINT", 2**62, pa.int64(), 2**62),
        ("HUGEINT", 2**70, pa.string(), str(2**70)),
        ("DOUBLE", 0.5, pa.float64(), 0.5), ("DECIMAL(4,2)", 1.5, pa.float64(), 1.5),
        ("BOOLEAN", True, pa.bool_(), True),
        ("TIMESTAMP", "2026-03-01T10:30:00", pa.timestamp("us"), datetime(2026, 3, 1, 10, 30)),
        ("DATE", "2026-03-01", pa.date32(), date(2026, 3, 1)), ("DATE", "200000-01-01", pa.string(), "200000-01-01"),
        ("VARCHAR", "日本 <b>", pa.string(), "日本 <b>"), ("INTEGER[]", [1, None], pa.string(), "[1, null]"),
        ("MAP(VARCHAR, VARCHAR)", {"言": "語"}, pa.string(), '{"言": "語"}'), ("UUID", "a-b", pa.string(), "a-b"),
        ("ENUM('a', 'b')", "a", pa.string(), "a"),
    ],
)  # fmt: skip
def test_a_column_has_the_type_that_fits(
    kind: str, value: object, expected_type: pa.DataType, expected: object
) -> None:
    """DuckDB's type where a flat file can hold it, else a text; null stays null."""
    column = result_table(answer([kind], [value], [None])).column(0)
    assert (column.type, column.to_pylist()) == (expected_type, [expected, None])


def test_what_duckdb_answers_fits_its_own_types(store_dir: Path) -> None:
    """All four relations become tables without a detour through text; types as in the contract."""
    table = result_table(run_select(store_dir, "SELECT * FROM requests"))
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds["started_at"] == "timestamp[us]"
    assert (kinds["n_tokens"], kinds["latency_ms"], kinds["domain"]) == ("int64", "double", "string")
    decisions = result_table(run_select(store_dir, "SELECT * FROM decisions"))
    assert [str(decisions.schema.field(name).type) for name in ("layer", "selected", "margin")] == [
        "int64", "bool", "double",
    ]  # fmt: skip


def test_names_are_unique_and_never_empty() -> None:
    """Two columns of one name would be lost in a frame."""
    assert unique_names(["n", "n", "n_2", "", "", "N"]) == ["n", "n_2", "n_2_2", "column", "column_2", "N"]


def test_an_answer_without_columns_or_rows_is_a_table() -> None:
    """Nothing is something: no row, but the columns."""
    assert result_table(answer(["INTEGER", "VARCHAR"])).num_rows == 0
    assert csv_text(answer(["INTEGER", "VARCHAR"])) == "c0,c1\n"
    assert pq.read_table(io.BytesIO(parquet_file(answer(["DOUBLE"])))).schema.names == ["c0"]


def test_csv_holds_every_value_exactly() -> None:
    """Commas, quotes and line ends come back; null is empty; a formula stays as it is, for programs read this file."""
    rows = [["a,b", 0.1], ['"x"\r\ny', None], ["=1+1", 1e300]]
    text = csv_text(answer(["VARCHAR", "DOUBLE"], *rows))
    read = pd.read_csv(io.StringIO(text), dtype={"c0": str})
    assert read["c0"].tolist() == ["a,b", '"x"\r\ny', "=1+1"]
    assert read["c1"].tolist()[::2] == [0.1, 1e300]
    assert text.splitlines()[0] == "c0,c1"


def test_integers_with_gaps_stay_integers_in_a_frame() -> None:
    """A missing token id does not turn the others into 101.0."""
    frame = result_frame(answer(["BIGINT", "BOOLEAN", "DATE"], [101, True, "2026-03-01"], [None, None, None]))
    assert frame["c0"].tolist()[0] == 101
    assert str(frame["c0"].dtype) == "Int64"
    assert str(frame["c2"].dtype).startswith("datetime64")


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "deeper/X.PARQUET"])
def test_a_file_is_written_once_and_replaced_only_by_force(tmp_path: Path, name: str) -> None:
    """An existing file is kept; with force it is replaced; nothing else is left in the folder."""
    path = tmp_path / name
    write_result(answer(["INTEGER"], [1]), path)
    first = path.read_bytes()
    with pytest.raises(InputError, match="exists; choose another name, or --force"):
        write_result(answer(["INTEGER"], [2]), path)
    assert path.read_bytes() == first
    write_result(answer(["INTEGER"], [2]), path, force=True)
    assert path.read_bytes() != first
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the writing somebody else takes the name."""
    path = tmp_path / "x.csv"
    monkeypatch.setattr(Path, "exists", lambda self: False)
    path.write_text("theirs")
    with pytest.raises(InputError, match="exists"):
        write_result(answer(["INTEGER"], [1]), path)
    assert path.read_text() == "theirs"
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]


@pytest.mark.parametrize(
    ("name", "reason"), [("x.xlsx", "must end in"), ("x", "must end in"), ("folder.csv", "a folder")]
)
def test_a_name_that_cannot_be_written_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    """Before the question is asked."""
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=reason):
        write_result(answer(["INTEGER"], [1]), tmp_path / name)


def test_a_full_disk_leaves_no_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, and the folder is as before."""

    def full(descriptor: int, data: object) -> None:
        os.write(descriptor, b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(segments, "write_all", full)
    with pytest.raises(SegmentError, match="free some space"):
        write_result(answer(["INTEGER"], [1]), tmp_path / "x.csv")
    assert list(tmp_path.iterdir()) == []

"""`routelens query`: tables, files, saved questions, and one sentence where it cannot answer."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from moe_core.log.questions import stock_questions
from tests.unit.cli.conftest import Command, assert_refused, document
from tests.unit.log.build import data_files, fill_store


@pytest.fixture
def filled(store: Path) -> Path:
    """3 requests, 24 decisions."""
    fill_store(store)
    return store


def test_a_question_is_answered_as_a_table(routelens: Command, filled: Path) -> None:
    """One line of names, one line a row, aligned; null, maps and long texts each in their cell."""
    sql = "select request_id, domain, {'a': 1} as s, repeat('x', 300) as long from requests order by 1 limit 2"
    done = routelens("query", sql, "--store", filled)
    header, first, _ = done.stdout.splitlines()
    assert header.split() == ["request_id", "domain", "s", "long"]
    assert first.split()[:2] == ["run-a/0", "NULL"]
    assert '{"a": 1}' in first
    assert first.endswith("x" * 99 + "…")


def test_a_cut_answer_says_so(routelens: Command, filled: Path) -> None:
    """In words for people, as `truncated` for programs."""
    done = routelens("query", "from decisions", "--limit", 5, "--store", filled)
    assert done.stdout.splitlines()[-1] == "... cut after 5 rows: raise --limit"
    found = document(routelens("query", "from decisions", "--limit", 5, "--json", "--store", filled))
    assert (len(found["rows"]), found["truncated"]) == (5, True)
    assert set(found) == {"columns", "rows", "truncated", "left_out"}


def test_the_saved_questions_are_listed_and_run(routelens: Command, filled: Path) -> None:
    """--examples names what --example runs."""
    listed = routelens("query", "--examples").stdout
    assert all(question.name in listed and question.title in listed for question in stock_questions())
    names = [entry["name"] for entry in document(routelens("query", "--examples", "--json"))["examples"]]
    assert names == [question.name for question in stock_questions()]
    found = document(routelens("query", "--example", "busiest_experts", "--json", "--store", filled))
    assert found["rows"] == [[0, 0, 6, 1.0], [1, 0, 6, 1.0]]


def test_rows_go_to_a_file(routelens: Command, filled: Path, tmp_path: Path) -> None:
    """CSV and Parquet hold the same rows; an existing file needs --force."""
    csv, parquet = tmp_path / "out" / "x.csv", tmp_path / "out" / "x.parquet"
    words = ("query", "select layer, count(*) as n from decisions group by layer order by layer", "--store", filled)
    assert routelens(*words, "--out", csv).stdout == f"2 rows written to {csv}\n"
    found = document(routelens(*words, "--out", parquet, "--json"))
    assert (found["out"], found["n_rows"], found["columns"]) == (str(parquet), 2, ["layer", "n"])
    assert csv.read_text() == "layer,n\n0,12\n1,12\n"
    assert pq.read_table(parquet).to_pylist() == [{"layer": 0, "n": 12}, {"layer": 1, "n": 12}]
    assert_refused(routelens(*words, "--out", csv), "exists", "--force")
    assert routelens(*words, "--out", csv, "--force").returncode == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "a SELECT, --example NAME, --examples"),
        (("select 1", "--examples"), "Give one of"),
        (("--example", "nope"), "no example 'nope'"),
        (("select 1", "--out", "x.xlsx"), ".csv or .parquet"),
        (("select 1", "--limit", "0"), "at least 1"),
        (("select 1", "--timeout", "0"), "time limit"),
        (("select 1", "--engine", "abacus"), "use duckdb"),
        (("drop table runs",), "exactly one SELECT; this is: DROP"),
        (("select * from read_csv('/etc/passwd')",), "does not allow read_csv()"),
        (("select count(*) from range(1000000000000)", "--timeout", "0.3"), "stopped after 0.3 seconds"),
    ],
)
def test_what_cannot_be_answered_is_one_line(
    routelens: Command, filled: Path, words: tuple[str, ...], reason: str
) -> None:
    """Exit code 2, and the store as before."""
    before = {path: path.read_bytes() for path in data_files(filled)}
    assert_refused(routelens("query", *words, "--store", filled), reason)
    assert {path: path.read_bytes() for path in data_files(filled)} == before


def test_a_missing_store_is_one_line(routelens: Command, store: Path) -> None:
    """It is not made by asking."""
    assert_refused(routelens("query", "select 1", "--store", store), str(store))
    assert not store.exists()


def test_damage_is_named_beside_the_answer(routelens: Command, filled: Path) -> None:
    """16 of 24 decisions are counted; stderr says which file is left out."""
    victim = sorted((filled / "segments").rglob("*.parquet"))[0]
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:-1])
    done = routelens("query", "select count(*) as n from decisions", "--store", filled)
    assert done.stdout.split() == ["n", "16"]
    assert victim.name in done.stderr
    assert done.returncode == 0

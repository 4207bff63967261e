"""The ten stock questions: answers counted by hand, and SQL that more than one engine understands."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from moe_core.errors import InputError
from moe_core.log import questions
from moe_core.log.console import run_select
from moe_core.log.questions import NAMES, stock_question, stock_questions
from moe_core.log.writer import SegmentSink
from tests.unit.log.build import T0, Row, make_batch, make_request, make_run


def row(request: int, position: int, layer: int, expert: int, margin: float, rank: int = 0, ran: bool = True) -> Row:
    return request, position, layer, expert, rank, ran, 1.0, 0.5, 0.5 if ran else 0.0, margin, 0


# two requests of 2 and 1 tokens; 15 decisions, 10 of them executed; layer 0 first
ROWS = [
    row(0, 0, 0, 0, 0.5), row(0, 0, 0, 1, 0.25, 1), row(0, 0, 0, 2, -0.5, 2, False),
    row(0, 0, 1, 2, 1.0), row(0, 0, 1, 0, -0.25, 1, False),
    row(0, 1, 0, 1, 0.25), row(0, 1, 0, 0, -0.125, 1, False),
    row(0, 1, 1, 2, 0.5), row(0, 1, 1, 1, 0.125, 1), row(0, 1, 1, 0, -1.0, 2, False),
    row(1, 0, 0, 0, 2.0), row(1, 0, 0, 1, 1.0, 1), row(1, 0, 0, 2, 0.75, 2),
    row(1, 0, 1, 2, -0.5), row(1, 0, 1, 0, -1.0, 1, False),
]  # fmt: skip

ANSWERS: dict[str, list[list[Any]]] = {
    "load_by_expert": [
        [0, 0, 2, 1, 0.333333], [0, 1, 3, 0, 0.5], [0, 2, 1, 1, 0.166667],
        [1, 0, 0, 3, 0.0], [1, 1, 1, 0, 0.25], [1, 2, 3, 0, 0.75],
    ],
    "experts_per_token": [[0, 3, 2.0, 1, 3], [1, 3, 1.333333, 1, 2]],
    "busiest_experts": [[0, 1, 3, 0.5], [1, 2, 3, 0.75]],
    "load_by_domain": [
        ["mail", 0, 0, 1], ["mail", 0, 1, 2], ["mail", 1, 1, 1], ["mail", 1, 2, 2],
        [None, 0, 0, 1], [None, 0, 1, 1], [None, 0, 2, 1], [None, 1, 2, 1],
    ],
    "compute_by_domain": [["mail", "adaptive", 1, 2, 0.5, 10.0], [None, "adaptive", 1, 1, 1.0, 20.0]],
    "hours": [["2026-03-01", 10, 1, 2, 10], ["2026-03-01", 11, 1, 1, 5]],
    "hungriest_tokens": [["run-a", "r2", 0, 100, 4], ["run-a", "r1", 0, 100, 3], ["run-a", "r1", 1, 101, 3]],
    "closest_calls": [[0, 0.25, "run-a", "r1", 0, 1], [1, 0.125, "run-a", "r1", 1, 1]],
    "expert_pairs": [[0, 1, 2], [0, 2, 1], [1, 2, 1]],
    "runs_compared": [
        ["run-a", "demo", "adaptive", 0.35, 2, 0.75, 0.7], ["run-b", "demo", "dense", None, 0, None, None],
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def counted_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ROWS in one run, and a run without a request."""
    path = tmp_path_factory.mktemp("counted") / "store"
    requests = [
        make_request("r1", 2, domain="mail"),
        make_request("r2", 1, started_at=T0 + timedelta(hours=1), latency_ms=20.0, active_fraction=1.0, flops=90),
    ]
    with SegmentSink(path) as sink:
        sink.begin_run(make_run())
        sink.append(requests, make_batch(ROWS))
        sink.begin_run(make_run("run-b", mode="dense", budget=None, started_at=T0 + timedelta(hours=2)))
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_question_gives_the_rows_counted_by_hand(counted_store: Path, name: str) -> None:
    """All rows, in their order."""
    assert run_select(counted_store, stock_question(name).sql).rows == ANSWERS[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_header_names_the_columns_that_come(counted_store: Path, name: str) -> None:
    """Each column of the answer is explained in the comment on top."""
    sql = stock_question(name).sql
    header = " ".join(line[2:].strip() for line in sql.splitlines() if line.startswith("--"))
    assert re.match(r"Title: .+\? ", header)
    for column in run_select(counted_store, sql).columns:
        assert re.search(rf"\b{column}\b", header.split("Columns:")[1]), column


@pytest.mark.parametrize("question", stock_questions(), ids=lambda question: question.name)
def test_the_sql_is_portable(question: questions.StockQuestion) -> None:
    """Nothing that DuckDB alone knows, one statement, one definite order. `round` is left out because DuckDB and Spark
    round 251 / 800 to different fourth decimals; `floor(x * n + 0.5) / n` is the same arithmetic everywhere."""
    code = "\n".join(line for line in question.sql.splitlines() if not line.startswith("--"))
    foreign = r"::|\[|\]|\{|\}|;|\b(round|any_value|list|map|struct|unnest|qualify|filter|exclude|using|ilike|all)\b"
    assert not re.findall(foreign, code, re.IGNORECASE)
    assert re.findall(r"ORDER BY [^()]+$", code.strip())
    assert re.fullmatch(r"[\x00-\x7f]*", question.sql)


def test_there_are_ten_each_a_file_of_its_own() -> None:
    """The list and the folder are the same; titles are different questions."""
    files = {path.stem for path in questions._SQL_DIR.iterdir()}
    assert files == set(NAMES)
    assert [question.name for question in stock_questions()] == list(NAMES)
    assert len({question.title for question in stock_questions()}) == len(NAMES) == 10


def test_an_unknown_name_says_which_there_are() -> None:
    """One sentence with the ten names."""
    with pytest.raises(InputError, match="no example 'load': use one of load_by_expert, "):
        stock_question("load")


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_store_answers_every_question(tmp_path: Path, name: str) -> None:
    """No rows and no error, before anything was recorded."""
    with SegmentSink(tmp_path):
        pass
    assert run_select(tmp_path, stock_question(name).sql).rows == []

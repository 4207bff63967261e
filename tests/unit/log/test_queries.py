"""Every question of the dashboard, with answers counted by hand."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from moe_core.errors import QueryError, RequestNotFoundError, RunNotFoundError
from moe_core.log import queries
from moe_core.log.index import Index
from moe_core.log.writer import SegmentSink
from moe_core.records import DecisionFlag
from tests.unit.log.build import T0, make_batch, make_request, make_run, plain_batch

FLOOR, FAILOVER = int(DecisionFlag.FLOOR), int(DecisionFlag.FAILOVER)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory):
    """Run "main", 2 layers of 3 experts: request "r1" (law, 2 tokens, 10:30) and "r2" (chat, 1 token, 11:30).
    Run "dense", a day later: request "r3" (no domain, 4 tokens, nothing routed)."""
    path = tmp_path_factory.mktemp("queries") / "store"
    with SegmentSink(path, flush_seconds=3600) as sink:
        sink.begin_run(make_run("main"))
        law = make_request(
            "r1", 2, domain="law", latency_ms=10.0, active_fraction=0.5, flops=60, label="pos", score=0.75,
            text="100% sure, isn't it?", attributes={"lang": "en", "group": "a"}, actor="ann",
        )  # fmt: skip
        chat = make_request(
            "r2", 1, domain="chat", started_at=T0 + timedelta(hours=1), latency_ms=30.0, active_fraction=0.2,
            flops=20, label="neg", text="HELLO wörld_x", budget=0.5,
        )  # fmt: skip
        sink.append([law, chat], make_batch([
            # request, position, layer, expert, rank, selected, logit, prob, gate, margin, flags
            (0, 0, 0, 0, 0, True, 2.0, 0.6, 1.0, 0.5, 0),
            (0, 0, 0, 1, 1, True, 1.0, 0.3, 0.5, 0.25, 0),
            (0, 0, 0, 2, 2, False, 0.0, 0.1, 0.0, -0.5, 0),
            (0, 0, 1, 2, 0, True, 2.0, 0.8, 1.0, 1.0, FAILOVER),
            (0, 1, 0, 1, 0, True, 2.0, 0.5, 1.0, -0.25, FLOOR),
            (0, 1, 0, 0, 1, False, 1.0, 0.4, 0.0, -0.5, 0),
            (0, 1, 1, 2, 0, True, 3.0, 0.9, 1.0, 0.5, 0),
            (1, 0, 0, 0, 0, True, 1.0, 0.7, 1.0, 0.5, 0),
            (1, 0, 1, 2, 0, True, 1.0, 0.7, 1.0, 0.0, 0),
            (1, 0, 1, 1, 1, False, 0.5, 0.2, 0.0, -0.5, 0),
        ]))  # fmt: skip
        sink.begin_run(make_run("dense", mode="dense", budget=None, started_at=T0 + timedelta(days=1)))
        dense = make_request(
            "r3", 4, started_at=T0 + timedelta(days=1), latency_ms=50.0, active_fraction=1.0, flops=400,
            flops_dense=400, mode="dense", budget=None, text=None,
        )  # fmt: skip
        sink.append([dense], make_batch([]))
    with Index.open(path) as opened:
        yield opened


def rows(frame: pd.DataFrame, *columns: str) -> list[list[object]]:
    frame = frame[list(columns)] if columns else frame
    return frame.astype(object).where(frame.notna(), None).values.tolist()


def near(expected: list[list[object]]) -> list[list[object]]:
    return [[pytest.approx(x, abs=2e-5) if isinstance(x, float) else x for x in row] for row in expected]


def test_runs_newest_first(index: Index) -> None:
    """Two runs; the mean active fraction weighs tokens: (0.5 x 2 + 0.2 x 1) / 3 = 0.4."""
    found = queries.list_runs(index)
    assert rows(found, "run_id", "n_requests", "n_tokens", "n_decisions", "flops", "flops_dense") == [
        ["dense", 1, 4, 0, 400, 400],
        ["main", 2, 3, 10, 80, 200],
    ]
    assert rows(found, "active_fraction", "latency_p50_ms", "latency_p99_ms") == near(
        [[1.0, 50.0, 50.0], [0.4, 20.0, 29.8]]
    )
    assert rows(found, "budget", "has_errors") == [[None, False], [0.35, False]]
    assert found["last_seen"].tolist()[1] == datetime(2026, 3, 1, 11, 30)
    assert found["ended_at"].notna().all()


def test_totals_of_the_store(index: Index) -> None:
    """2 runs, 3 requests, 7 tokens, 10 decisions, 2 batches."""
    found = queries.store_totals(index)
    assert rows(found, "runs", "requests", "tokens", "decisions", "batches", "flops", "flops_dense", "problems") == [
        [2, 3, 7, 10, 2, 480, 600, 0]
    ]
    assert found["first_seen"][0] == datetime(2026, 3, 1, 10, 30)
    assert found["bytes"][0] > 0


def test_the_load_of_each_expert(index: Index) -> None:
    """6 experts, those that never ran included, with sums over the decisions in which they ran."""
    found = queries.expert_load(index, "main")
    assert rows(found) == near(
        [
            # layer, expert, n, gate, prob, mean margin, floor, failover, runner-up
            [0, 0, 2, 2.0, 1.3, 0.5, 0, 0, 1],
            [0, 1, 2, 1.5, 0.8, 0.0, 1, 0, 0],
            [0, 2, 0, 0.0, 0.0, None, 0, 0, 1],
            [1, 0, 0, 0.0, 0.0, None, 0, 0, 0],
            [1, 1, 0, 0.0, 0.0, None, 0, 0, 1],
            [1, 2, 3, 3.0, 2.4, 0.5, 0, 1, 0],
        ]
    )


def test_the_load_can_be_narrowed(index: Index) -> None:
    """By domain, by layer, over all runs; a run that routed nothing has its experts with n = 0."""
    assert rows(queries.expert_load(index, "main", domain="chat"), "n") == [[1], [0], [0], [0], [0], [1]]
    assert rows(queries.expert_load(index, "main", layer=1), "expert_id", "n") == [[0, 0], [1, 0], [2, 3]]
    assert rows(queries.expert_load(index), "n") == [[2], [2], [0], [0], [0], [3]]
    assert queries.expert_load(index, "dense")["n"].tolist() == [0] * 6
    assert queries.expert_load(index, "main", domain="nothing")["n"].sum() == 0


def test_an_unknown_run_is_an_error(index: Index) -> None:
    """Not an empty chart."""
    with pytest.raises(RunNotFoundError, match="no run 'nope'"):
        queries.expert_load(index, "nope")


def test_tokens_of_each_layer(index: Index) -> None:
    """3 tokens went through both layers; 2 of them belong to law."""
    assert rows(queries.layer_tokens(index, "main")) == [[0, 3], [1, 3]]
    assert rows(queries.layer_tokens(index, "main", domain="law")) == [[0, 2], [1, 2]]


def test_how_many_experts_a_token_runs(index: Index) -> None:
    """In layer 0 one token ran two experts and two ran one; in layer 1 all three ran one."""
    assert rows(queries.active_histogram(index, "main")) == [[0, 1, 2], [0, 2, 1], [1, 1, 3]]
    assert rows(queries.active_histogram(index, "main", domain="law")) == [[0, 1, 1], [0, 2, 1], [1, 1, 2]]


def test_the_load_by_hour(index: Index) -> None:
    """r1 at 10:30 counts for 10:00, r2 at 11:30 for 11:00."""
    found = queries.load_over_time(index, "main", layer=0)
    assert [[hour.hour, *rest] for hour, *rest in rows(found, "hour", "expert_id", "n")] == [
        [10, 0, 1], [10, 1, 2], [10, 2, 0], [11, 0, 1],
    ]  # fmt: skip


def test_a_page_of_requests(index: Index) -> None:
    """Newest first, with the number of all that fit, also beyond the last page."""
    page = queries.requests_page(index, limit=2)
    assert (page.frame["request_id"].tolist(), page.total) == (["r3", "r2"], 3)
    page = queries.requests_page(index, limit=2, offset=2)
    assert (page.frame["request_id"].tolist(), page.total) == (["r1"], 3)
    page = queries.requests_page(index, limit=2, offset=50)
    assert (page.frame["request_id"].tolist(), page.total) == ([], 3)
    assert page.frame.columns.tolist() == queries.request_detail(index, "r1").columns.tolist()


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"run_id": "main"}, {"r1", "r2"}),
        ({"label": "pos"}, {"r1"}),
        ({"domain": "chat"}, {"r2"}),
        ({"domain": "chat", "label": "pos"}, set()),
        ({"search": ""}, {"r1", "r2", "r3"}),
        ({"search": "hello WÖRLD"}, {"r2"}),
        ({"search": "100%"}, {"r1"}),
        ({"search": "%"}, {"r1"}),
        ({"search": "_"}, {"r2"}),
        ({"search": "isn't"}, {"r1"}),
        ({"search": "' OR 1=1 --"}, set()),
        ({"search": "'; DROP TABLE request_rows; --"}, set()),
        ({"search": "\\"}, set()),
        ({"run_id": "main' OR '1'='1"}, set()),
        ({"label": "pos'; DELETE FROM request_rows; --"}, set()),
        ({"domain": "$run_id"}, set()),
    ],
)
def test_filters_are_values_and_never_sql(index: Index, filters: dict[str, str], expected: set[str]) -> None:
    """Quotes, wildcards, comments and statements in a search are looked for as they stand."""
    page = queries.requests_page(index, **filters)  # type: ignore[arg-type]
    assert (set(page.frame["request_id"]), page.total) == (expected, len(expected))
    assert queries.request_count(index, **filters) == len(expected)  # type: ignore[arg-type]
    assert queries.store_totals(index)["requests"][0] == 3


@pytest.mark.parametrize(("limit", "offset"), [(0, 0), (-1, 0), (1, -1)])
def test_a_page_has_a_sensible_size(index: Index, limit: int, offset: int) -> None:
    """A negative limit would mean everything to some databases."""
    with pytest.raises(QueryError, match="give at least 1 and 0"):
        queries.requests_page(index, limit=limit, offset=offset)


def test_one_request(index: Index) -> None:
    """What was recorded, unchanged; attributes as a dict."""
    (found,) = queries.request_detail(index, "r1").to_dict("records")
    assert found["text"] == "100% sure, isn't it?"
    assert found["attributes"] == {"lang": "en", "group": "a"}
    assert (found["label"], found["score"], found["n_tokens"], found["actor"]) == ("pos", 0.75, 2, "ann")
    assert found["text_hash"] == index.store.text_hash("100% sure, isn't it?")
    assert pd.isna(queries.request_detail(index, "r3")["text_hash"][0])


def test_how_a_request_was_run(index: Index) -> None:
    """Run, model and text of one request; a missing text is missing; an unknown request is an error."""
    (found,) = queries.run_of_request(index, "r1").to_dict("records")
    assert (found["run_id"], found["mode"], found["text"]) == ("main", "adaptive", "100% sure, isn't it?")
    assert found["config"].startswith("{")
    assert pd.isna(queries.run_of_request(index, "r3", "dense")["text"][0])
    with pytest.raises(RequestNotFoundError):
        queries.run_of_request(index, "r1", "dense")


def test_requests_of_one_batch_began_at_the_same_time(index: Index) -> None:
    """r1 and r2 began an hour apart, so each was answered alone."""
    assert rows(queries.answered_together(index, "r1", "main")) == [["r1", "100% sure, isn't it?"]]
    assert queries.answered_together(index, "r1", "dense").empty


@pytest.mark.parametrize("request_id", ["R1", "r1 ", "r", "", "r1' OR '1'='1", "%"])
def test_a_request_id_is_compared_as_text(index: Index, request_id: str) -> None:
    """Equal or not: no case folding, no trimming, no pattern."""
    for query in (queries.request_detail, queries.request_trace, queries.request_tokens):
        with pytest.raises(RequestNotFoundError, match="holds no request"):
            query(index, request_id)


def test_the_trace_of_a_request(index: Index) -> None:
    """All 7 decisions of r1 in order, with its tokens; the numbers within half a step of what was recorded."""
    found = queries.request_trace(index, "r1")
    assert found.columns.tolist() == [
        "position", "token_id", "is_special", "layer", "expert_id", "rank", "selected", "logit", "prob", "gate_weight",
        "margin", "flags",
    ]  # fmt: skip
    assert rows(found.drop(columns=["is_special", "logit"])) == near(
        [
            [0, 100, 0, 0, 0, True, 0.6, 1.0, 0.5, 0],
            [0, 100, 0, 1, 1, True, 0.3, 0.5, 0.25, 0],
            [0, 100, 0, 2, 2, False, 0.1, 0.0, -0.5, 0],
            [0, 100, 1, 2, 0, True, 0.8, 1.0, 1.0, FAILOVER],
            [1, 101, 0, 1, 0, True, 0.5, 1.0, -0.25, FLOOR],
            [1, 101, 0, 0, 1, False, 0.4, 0.0, -0.5, 0],
            [1, 101, 1, 2, 0, True, 0.9, 1.0, 0.5, 0],
        ]
    )
    assert queries.request_trace(index, "r3").empty
    assert rows(queries.request_tokens(index, "r2")) == [[0, 100, False]]


def test_the_same_request_id_in_two_runs(tmp_path: Path) -> None:
    """Imported twice under two run ids: with the run id each is found, without it the newest."""
    with SegmentSink(tmp_path) as sink:
        for i, run_id in enumerate(("old", "new")):
            sink.begin_run(make_run(run_id))
            sink.append([make_request("r", 1 + i, started_at=T0 + timedelta(hours=i))], plain_batch([1 + i]))
    with Index.open_private(tmp_path) as index:
        assert queries.request_detail(index, "r")["run_id"].tolist() == ["new"]
        assert len(queries.request_trace(index, "r")) == 8
        assert len(queries.request_trace(index, "r", "old")) == 4
        with pytest.raises(RequestNotFoundError):
            queries.request_trace(index, "r", "none")


def test_latency_by_mode_and_budget(index: Index) -> None:
    """One row per setting of the requests, with their number."""
    found = queries.latency_by(index)
    assert rows(found, "mode", "budget", "n", "p50_ms", "mean_tokens") == [
        ["adaptive", 0.35, 1, 10.0, 2.0],
        ["adaptive", 0.5, 1, 30.0, 1.0],
        ["dense", None, 1, 50.0, 4.0],
    ]
    assert len(queries.latency_by(index, "dense")) == 1


def test_cost_by_domain(index: Index) -> None:
    """flops over dense flops; requests without a domain come last, without a name."""
    assert rows(queries.cost_by_domain(index)) == near(
        [
            ["chat", 1, 1, 20, 100, 0.2, 0.2],
            ["law", 1, 2, 60, 100, 0.6, 0.5],
            [None, 1, 4, 400, 400, 1.0, 1.0],
        ]
    )


def test_domains_and_labels(index: Index) -> None:
    """What there is to choose from."""
    assert rows(queries.domains(index)) == [["chat", 1, 1], ["law", 1, 2], [None, 1, 4]]
    assert rows(queries.domains(index, "main")) == [["chat", 1, 1], ["law", 1, 2]]
    assert rows(queries.labels(index, "main")) == [["neg", 1], ["pos", 1]]


def test_nothing_happened_and_nothing_is_wrong(index: Index) -> None:
    """Empty answers have their columns."""
    assert queries.events(index).columns.tolist() == ["recorded_at", "actor", "what", "old", "new"]
    assert queries.problems(index).columns.tolist() == ["seen_at", "run_id", "batch_id", "n_decisions", "what"]


def test_integers_are_wide(index: Index) -> None:
    """layer * 1000 + expert must not overflow in anybody's analysis."""
    for frame in (queries.expert_load(index), queries.request_trace(index, "r1"), queries.list_runs(index)):
        assert not {"int8", "int16", "int32", "uint8", "uint16", "uint32"} & {str(t) for t in frame.dtypes}


def test_every_sql_file_has_its_function_and_every_function_its_file() -> None:
    """One question, one file, one function; and every parameter is bound."""
    folder = Path(queries.__file__).parent / "sql"
    files = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.sql")}
    functions = {
        name for name, value in vars(queries).items()
        if callable(value) and getattr(value, "__module__", "") == queries.__name__ and name[0] != "_"
    } - {"RequestsPage"}  # fmt: skip
    assert set(files) == functions
    source = Path(queries.__file__).read_text(encoding="utf-8")
    for name, sql in files.items():
        assert re.match(
            r"-- Purpose: .+\n(--.*\n)*-- Parameters: .+\n(--.*\n)*-- Grain: .+\n(--.*\n)*-- Columns: ", sql
        ), name
        assert f'_ask(index, "{name}"' in source

"""What an audit reads from the log, counted by hand."""

import re
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from moe_core.errors import LogError, RunNotFoundError
from moe_core.log import audit_queries
from moe_core.log.index import Index
from moe_core.log.writer import SegmentSink
from moe_core.records import DecisionFlag
from tests.unit.log.build import T0, make_batch, make_request, make_run

SHARED = int(DecisionFlag.SHARED)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory):
    """Run "first": requests r1 (2 tokens) and r2 (1 token), 2 layers. Run "dense": the text of r1 again. Run "other",
    the newest with decisions, of another model. Run "again", newer still, repeats doubtful texts of "first"."""
    path = tmp_path_factory.mktemp("audit") / "store"
    with SegmentSink(path, flush_seconds=3600) as sink:
        sink.begin_run(make_run("first"))
        sink.append(
            [make_request("r1", 2, label="pos", text="good", attributes={"sex": "f"}, domain="chat"),
             make_request("r2", 1, label="neg", text="bad", score=0.6)],
            make_batch([
                (0, 0, 0, 0, 0, True, 2.0, 0.6, 1.0, 0.5, 0),
                (0, 0, 0, 1, 1, True, 1.0, 0.3, 0.5, 0.25, 0),
                (0, 0, 0, 2, 2, False, 0.0, 0.1, 0.0, -0.5, 0),
                (0, 0, 1, 2, 0, True, 2.0, 0.8, 1.0, 1.0, 0),
                (0, 1, 0, 1, 0, True, 2.0, 0.5, 1.0, 0.5, 0),
                (0, 1, 1, 2, 0, True, 3.0, 0.9, 1.0, 0.5, 0),
                (0, 1, 1, 0, 1, True, 3.0, 0.9, 1.0, 0.5, SHARED),
                (1, 0, 0, 0, 0, True, 1.0, 0.7, 1.0, 0.5, 0),
                (1, 0, 1, 2, 0, True, 1.0, 0.7, 1.0, 0.0, 0),
            ]),
        )  # fmt: skip
        sink.begin_run(make_run("dense", mode="dense", budget=None, started_at=T0 + timedelta(days=1)))
        sink.append([make_request("d1", 2, label="neg", text="good", score=0.7, mode="dense", budget=None),
                     make_request("d2", 2, label="pos", text="good", score=0.9, mode="dense", budget=None,
                                  started_at=T0 + timedelta(days=1)),
                     make_request("d3", 2, label="pos", text="elsewhere", mode="dense", budget=None)],
                    make_batch([]))  # fmt: skip
        one = make_batch([(0, 0, 0, 0, 0, True, 1.0, 0.7, 1.0, 0.5, 0)])
        sink.begin_run(make_run("other", model_sha256="1" * 64, started_at=T0 + timedelta(days=2)))
        sink.append([make_request("o1", 1, text="good", label="pos")], one)
        sink.begin_run(make_run("again", started_at=T0 + timedelta(days=3), config={"escalates": "first"}))
        sink.append([make_request("a1", 1)], one)
    with Index.open(path) as opened:
        yield opened


def test_counts_per_request_and_expert(index: Index) -> None:
    """Executed experts only; one that always runs is left out; rank 0 counts the tokens of a layer."""
    frame = audit_queries.routing_counts(index, ["first"]).sort_values(["request_id", "layer", "expert_id"])
    assert frame[["request_id", "layer", "expert_id", "n", "n_first"]].values.tolist() == [
        ["r1", 0, 0, 1, 1], ["r1", 0, 1, 2, 1], ["r1", 0, 2, 0, 0], ["r1", 1, 0, 0, 0], ["r1", 1, 2, 2, 2],
        ["r2", 0, 0, 1, 1], ["r2", 1, 2, 1, 1],
    ]  # fmt: skip
    assert set(audit_queries.routing_counts(index, ["first", "other"])["run_id"]) == {"first", "other"}


def test_requests_without_their_texts(index: Index) -> None:
    """Length of the text, attributes, and no text."""
    frame = audit_queries.audit_requests(index, ["first"])
    assert "text" not in frame
    assert frame["request_id"].tolist() == ["r1", "r2"]
    assert frame["n_characters"].tolist() == [4, 3]
    assert frame["attributes"][0] == {"sex": "f"}
    assert pd.isna(frame["domain"][1])


def test_how_common_the_tokens_are(index: Index) -> None:
    """Token 100 stands in both requests, 101 in one: medians of log10 of (2, 1) and (2)."""
    frame = audit_queries.token_rarity(index, ["first"]).set_index("request_id")
    assert frame["median_log_count"].to_dict() == pytest.approx({"r1": 0.150515, "r2": 0.30103}, abs=1e-5)
    assert frame["n_known"].to_dict() == {"r1": 2, "r2": 1}


def test_dense_answers_to_the_same_text_by_the_same_model(index: Index) -> None:
    """The first dense answer to "good"; none to "bad"; none of another model."""
    frame = audit_queries.dense_answers(index, ["first"])
    assert frame.values.tolist() == [["first", "r1", "pos", "neg", 0.7]]
    assert audit_queries.dense_answers(index, ["other"]).empty


def test_the_newest_run_with_decisions_is_audited(index: Index) -> None:
    """Second passes, which only doubtful texts have, and dense runs are none."""
    assert audit_queries.runs_to_audit(index)["run_id"].tolist() == ["other"]
    assert audit_queries.runs_to_audit(index, ["first"])["run_id"].tolist() == ["first"]


def test_runs_of_different_models_and_unknown_ones_are_refused(index: Index) -> None:
    """One clear sentence each."""
    with pytest.raises(LogError, match=r"other, first are of different models|first, other are of different models"):
        audit_queries.runs_to_audit(index, ["first", "other"])
    with pytest.raises(RunNotFoundError, match="no run 'nowhere'"):
        audit_queries.runs_to_audit(index, ["nowhere"])


def test_a_run_id_is_a_value_and_never_sql(index: Index) -> None:
    """Quotes find nothing and break nothing."""
    for name in ("audit_requests", "routing_counts", "token_rarity", "dense_answers"):
        assert getattr(audit_queries, name)(index, ["x') OR true --"]).empty


def test_damaged_batches_are_counted(tmp_path: Path) -> None:
    """A cut segment: its decisions are missing, and the report must say so."""
    with SegmentSink(tmp_path / "store", flush_seconds=3600) as sink:
        sink.begin_run(make_run("run-a"))
        for i in range(2):
            sink.append([make_request(f"r{i}", 1)], make_batch([(0, 0, 0, 0, 0, True, 1.0, 0.7, 1.0, 0.5, 0)]))
            sink.flush()
    with Index.open(tmp_path / "store") as opened:
        whole = audit_queries.damage_of_runs(opened, ["run-a"]).iloc[0]
        assert whole.to_dict() == {"left_out_batches": 0, "left_out_decisions": 0, "unrecorded_requests": 0}
    (tmp_path / "store" / "index.duckdb").unlink()
    segment = sorted((tmp_path / "store" / "segments").rglob("*.parquet"))[0]
    segment.write_bytes(segment.read_bytes()[:-20])
    with Index.open(tmp_path / "store") as opened:
        damaged = audit_queries.damage_of_runs(opened, ["run-a"]).iloc[0]
        assert damaged[["left_out_batches", "left_out_decisions"]].tolist() == [1, 1]


def test_every_audit_question_has_a_file_with_a_header() -> None:
    """One question, one file, one function."""
    folder = Path(audit_queries.__file__).parent / "sql" / "audit"
    source = Path(audit_queries.__file__).read_text(encoding="utf-8")
    for path in folder.glob("*.sql"):
        assert f"def {path.stem}(index: Index" in source
        assert f'_ask(index, "{path.stem}"' in source
        header = r"-- Purpose: .+\n(--.*\n)*-- Parameters: .+\n(--.*\n)*-- Grain: .+\n(--.*\n)*-- Columns: "
        assert re.match(header, path.read_text(encoding="utf-8"))

"""What a store shows comes back from an import of what it shows, row by row."""

from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from moe_core.log import queries
from moe_core.log.imports.parquet import import_parquet
from moe_core.log.index import Index
from moe_core.log.verify import verify_store
from moe_core.log.writer import SegmentSink
from moe_core.records import DecisionFlag, RoutingBatch
from tests.unit.log.build import T0, make_request, make_run, plain_batch

NAN = float("nan")
KEYS = {
    "runs": "run_id",
    "requests": "run_id, request_id",
    "tokens": "run_id, request_id, position",
    "decisions": "run_id, request_id, position, layer, expert_id",
}


def live_batch(n_tokens: list[int], seed: int) -> RoutingBatch:
    """2 layers of 3 experts, all three listed, one or two of them executed; some values not known."""
    rng = np.random.default_rng(seed)
    total = sum(n_tokens)
    request = np.repeat(np.arange(len(n_tokens)), n_tokens)
    position = np.concatenate([np.arange(n) for n in n_tokens])
    n = total * 2 * 3
    logit = np.sort(rng.normal(0, 3, (total, 2, 3)), axis=2)[:, :, ::-1]
    prob = np.exp(logit) / np.exp(logit).sum(2, keepdims=True)
    selected = np.arange(3) < rng.integers(1, 3, (total, 2, 1))
    margin = rng.normal(0, 1, n)
    margin[rng.random(n) < 0.3] = NAN
    return RoutingBatch(
        request_index_N=np.repeat(request, 6).astype(np.uint32),
        position_N=np.repeat(position, 6).astype(np.uint32),
        layer_N=np.tile(np.repeat([0, 1], 3), total).astype(np.uint16),
        expert_id_N=rng.permuted(np.tile(np.arange(3), (total * 2, 1)), axis=1).reshape(-1).astype(np.uint16),
        rank_N=np.tile([0, 1, 2], total * 2).astype(np.uint16),
        selected_N=selected.reshape(-1),
        logit_N=logit.reshape(-1).astype(np.float32),
        prob_N=prob.reshape(-1).astype(np.float32),
        gate_weight_N=(rng.random(n) * 3).astype(np.float32),
        margin_N=margin.astype(np.float32),
        flags_N=rng.integers(0, 16, n).astype(np.uint8),
    )


def fill_live(path: Path) -> None:
    """Two runs of several batches over two days, with texts, attributes, labels, unknown numbers, a dense request."""
    with SegmentSink(path, flush_seconds=60) as sink:
        for run_id, budget in (("run one", 0.35), ("läufe/2", None)):
            sink.begin_run(make_run(run_id, budget=budget, mode="adaptive" if budget else "topk"))
            for i in range(6):
                requests = [
                    make_request(
                        f"{run_id}-{i}", 3, started_at=T0 + timedelta(hours=5 * i), domain="mail" if i % 2 else None,
                        attributes={"group": "ab"[i % 2], "名": "<b>x</b>"} if i else {}, label="yes", score=i / 8,
                        latency_ms=NAN if i == 2 else 1.5 * i, actor="me",
                    ),
                    make_request(f"{run_id}+{i}", 1, started_at=T0, text=None, active_fraction=NAN),
                    make_request(f"{run_id}={i}", 1, started_at=T0, mode="dense", budget=None),
                ]  # fmt: skip
                sink.append(requests, live_batch([3, 1], seed=i))
                if i == 3:
                    sink.flush()


def export(store: Path, folder: Path, *, with_tokens: bool) -> None:
    """As a user would: COPY the relations with DuckDB."""
    with Index.open(store):
        pass
    folder.mkdir()
    connection = duckdb.connect(str(store / "index.duckdb"), read_only=True)
    connection.execute(f"COPY runs TO '{folder}/runs.json' (FORMAT json, ARRAY true)")
    names = ["requests", "decisions", "tokens"] if with_tokens else ["requests", "decisions"]
    for name in names:
        connection.execute(f"COPY {name} TO '{folder}/{name}.parquet' (FORMAT parquet)")
    connection.close()


def relation(store: Path, name: str) -> pd.DataFrame:
    with Index.open_private(store) as index:
        return index.frame(f"SELECT * FROM {name} ORDER BY {KEYS[name]}")


@pytest.mark.parametrize("with_tokens", [True, False])
def test_all_relations_come_back(tmp_path: Path, with_tokens: bool) -> None:
    """Row by row and to the last quantised step: only flags say `imported`, and text hashes have the new store's salt.
    Without tokens.parquet the token ids come from the decisions, and no token is special."""
    fill_live(tmp_path / "live")
    export(tmp_path / "live", tmp_path / "export", with_tokens=with_tokens)
    result = import_parquet(tmp_path / "export", tmp_path / "new")
    assert result.run_ids == ("run one", "läufe/2") or result.run_ids == ("läufe/2", "run one")
    assert (result.decisions, result.requests) == (2 * 6 * 24, 2 * 6 * 3)
    report = verify_store(tmp_path / "new")
    assert (report.ok, report.decisions, report.notes) == (True, 288, ())
    old, new = ({name: relation(tmp_path / store, name) for name in KEYS} for store in ("live", "new"))
    old["decisions"]["flags"] |= int(DecisionFlag.IMPORTED)
    if not with_tokens:
        dense = old["tokens"]["request_id"].str.contains("=")
        old["tokens"] = old["tokens"][~dense].reset_index(drop=True)
    for name, frame in old.items():
        dropped = {"runs": ["quality_card"], "requests": ["text_hash"]}.get(name, [])
        pd.testing.assert_frame_equal(frame.drop(columns=dropped), new[name].drop(columns=dropped))
    hashes = new["requests"]["text_hash"]
    assert (hashes.isna() == new["requests"]["text"].isna()).all()


def test_the_views_answer_the_same(tmp_path: Path) -> None:
    """Load per expert, active experts, list of runs with their ends: from the rollups of an imported run."""
    fill_live(tmp_path / "live")
    export(tmp_path / "live", tmp_path / "export", with_tokens=True)
    import_parquet(tmp_path / "export", tmp_path / "new")
    with Index.open_private(tmp_path / "live") as live, Index.open_private(tmp_path / "new") as new:
        for question in (queries.expert_load, queries.active_histogram, queries.layer_tokens):
            pd.testing.assert_frame_equal(question(live), question(new))
        runs = queries.list_runs(new)
        assert runs["ended_at"].notna().all()
        columns = ["run_id", "n_requests", "n_tokens", "n_decisions", "flops", "latency_p50_ms"]
        pd.testing.assert_frame_equal(queries.list_runs(live)[columns], runs[columns])


def test_an_import_of_an_import_stays_as_it_is(tmp_path: Path) -> None:
    """Exported and imported again, the decisions are the same, flags included; the card keeps the earlier card."""
    fill_live(tmp_path / "live")
    for old, new in (("live", "one"), ("one", "two")):
        export(tmp_path / old, tmp_path / f"export-{old}", with_tokens=True)
        result = import_parquet(tmp_path / f"export-{old}", tmp_path / new)
    for name in ("decisions", "tokens", "requests"):
        one, two = relation(tmp_path / "one", name), relation(tmp_path / "two", name)
        pd.testing.assert_frame_equal(one.drop(columns=["text_hash"], errors="ignore"),
                                      two.drop(columns=["text_hash"], errors="ignore"))  # fmt: skip
    assert result.quality_cards["run one"]["given"]["rows"] == 144


def test_any_order_of_the_rows_gives_the_same_run(tmp_path: Path) -> None:
    """The rows of all requests and runs shuffled: sorted first, and the card says so."""
    fill_live(tmp_path / "live")
    export(tmp_path / "live", tmp_path / "export", with_tokens=True)
    import_parquet(tmp_path / "export", tmp_path / "straight")
    path = tmp_path / "export" / "decisions.parquet"
    duckdb.execute(f"COPY (SELECT * FROM '{path}' ORDER BY hash(rowid)) TO '{path}2' (FORMAT parquet)".replace(
        "rowid", "request_id || position || layer || expert_id"))  # fmt: skip
    Path(f"{path}2").rename(path)
    result = import_parquet(tmp_path / "export", tmp_path / "shuffled")
    assert any("they were sorted" in note for note in result.quality_cards["run one"]["notes"])
    for name in ("decisions", "tokens"):
        pd.testing.assert_frame_equal(relation(tmp_path / "straight", name), relation(tmp_path / "shuffled", name))


def test_live_plain_batches_need_no_note(tmp_path: Path) -> None:
    """A live run of this project has nothing that its card would call suspicious but constants."""
    with SegmentSink(tmp_path / "live", flush_seconds=60) as sink:
        sink.begin_run(make_run())
        sink.append([make_request("x", 3)], plain_batch([3]))
    export(tmp_path / "live", tmp_path / "export", with_tokens=True)
    card = import_parquet(tmp_path / "export", tmp_path / "new").quality_cards["run-a"]
    assert card["suspicious"] == []
    assert card["experts_never_seen"] == 2
    assert card["experts_never_executed"] == 4

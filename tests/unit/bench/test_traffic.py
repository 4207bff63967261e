"""Traffic of a store for benchmarks: drawn requests carry decisions that were really made."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

from moe_core.bench.log_bench import bench_log, fill
from moe_core.bench.traffic import COLUMNS, Traffic
from moe_core.bench.view_bench import bench_views, views
from moe_core.errors import InputError
from moe_core.log import queries
from moe_core.log.index import Index
from moe_core.log.verify import verify_store
from moe_core.model.calibration import Calibration, DialPoint
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting, TextRequest
from moe_core.model.tokens import TextTokenizer
from tests.unit.tiny_encoders import WORDS, dense_encoder, save_tokenizer, sparse_encoder


@pytest.fixture
def traffic(tmp_path: Path) -> Traffic:
    """Six texts of different lengths through a tiny model of 2 layers and 4 experts."""
    torch.manual_seed(3)
    dense = dense_encoder(n_positions=24)
    save_tokenizer(tmp_path / "tokenizer.json")
    points = tuple(DialPoint(tau, share, 0.9, 0.8, 10, 100, [share] * 2, {}) for tau, share in ((0.9, 0.2), (0.0, 1.0)))
    model = RoutedModel(
        adapted=sparse_encoder(dense), dense=dense, tokenizer=TextTokenizer(tmp_path / "tokenizer.json", 24),
        calibration=Calibration(points), heads={}, name="tiny", sha256="a" * 64, folder=tmp_path,
    )  # fmt: skip
    texts = [TextRequest(text=" ".join(WORDS[:n]), domain="d" if n % 2 else None) for n in range(1, 7)]
    return Traffic.measured(model, texts, Setting(budget=0.5, head=None))


def test_every_request_keeps_its_own_decisions(traffic: Traffic) -> None:
    """One stretch of rows each, as many positions as the request has tokens."""
    assert len(traffic.requests) == 6
    for number, request in enumerate(traffic.requests):
        rows = slice(traffic.starts_R[number], traffic.starts_R[number + 1])
        assert set(traffic.decisions.request_index_N[rows]) == {number}
        assert int(traffic.decisions.position_N[rows].max()) + 1 == request.n_tokens


def test_a_drawn_request_makes_the_choices_of_the_one_it_was_drawn_from(traffic: Traffic) -> None:
    """Experts, ranks and gates are those measured; logits differ by a little; ids are new and times even."""
    at, every = datetime(2026, 1, 5, tzinfo=UTC), timedelta(seconds=3)
    records, batch = traffic.draw(np.random.default_rng(0), 20, 101, at, every)
    assert [record.request_id.rsplit(".", 1)[1] for record in records] == [str(n) for n in range(101, 121)]
    assert records[19].started_at == at + 19 * every
    texts = [request.text for request in traffic.requests]
    for number, record in enumerate(records):
        mine = batch.request_index_N == number
        drawn = texts.index(record.text)
        theirs = slice(traffic.starts_R[drawn], traffic.starts_R[drawn + 1])
        for name in set(COLUMNS) - {"request_index_N", "logit_N", "prob_N", "margin_N"}:
            assert getattr(batch, name)[mine].tolist() == getattr(traffic.decisions, name)[theirs].tolist()
        difference = batch.logit_N[mine] - traffic.decisions.logit_N[theirs]
        assert 0 < np.abs(difference).max() < 0.2


def test_a_filled_store_is_whole_and_every_view_answers(traffic: Traffic, tmp_path: Path) -> None:
    """As many decisions as were said, verified; the bench asks each question and finds the run."""
    filled = fill(tmp_path / "store", traffic, 5000)
    report = verify_store(tmp_path / "store")
    assert (report.ok, report.decisions) == (True, filled.decisions)
    assert filled.decisions == pytest.approx(5000, rel=0.3)
    document = bench_views(tmp_path / "store", repetitions=2, colds=1)
    assert document["decisions"] == filled.decisions
    with Index.open(tmp_path / "store") as index:
        assert [row["view"] for row in document["rows"]] == [view.name for view in views(index)]
        assert int(queries.store_totals(index).iloc[0]["requests"]) == filled.requests
    assert all(row["warm_p95_ms"] >= row["warm_p50_ms"] > 0 for row in document["rows"])


def test_a_store_too_small_to_be_measured_is_refused() -> None:
    """Before a model is loaded or a file written."""
    with pytest.raises(InputError, match="too small"):
        bench_log(sizes=(5,))

"""The sample of a run: whole segments, evenly spread, the same every time, no damaged file; sums over documents."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_core.errors import LogError, RunNotFoundError, SegmentError
from moe_core.log import specialization_queries as log
from moe_core.log.halves import halves_of
from moe_core.log.index import Index
from moe_core.log.redact import redact
from moe_core.log.routing_sample import evenly_spread, sample_of_run
from moe_core.log.writer import SegmentSink
from tests.unit.log.build import make_batch, make_request, make_run, plain_batch

N_BATCHES = 12


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """12 batches of 2 requests of 3 and 5 tokens: 2 layers, 1 expert executed and 1 not: 32 decisions a batch."""
    with SegmentSink(tmp_path, flush_seconds=3600) as sink:
        sink.begin_run(make_run())
        for i in range(N_BATCHES):
            requests = [make_request(f"r{i}-{n}", n, domain=("law", "mail")[i % 2]) for n in (3, 5)]
            sink.append(requests, plain_batch([3, 5]))
            sink.flush()
    return tmp_path


@given(st.lists(st.integers(1, 100), min_size=1, max_size=40), st.integers(1, 1500))
def test_as_many_segments_are_taken_as_fit(sizes: list[int], most: int) -> None:
    """In order, none twice, never too many decisions except where a single segment has them; all where they fit."""
    taken = evenly_spread(np.array(sizes), most)
    assert (np.diff(taken) > 0).all()
    assert len(taken) == 1 or sum(sizes[i] for i in taken) <= most
    if sum(sizes) <= most:
        assert len(taken) == len(sizes)


def test_a_sample_holds_whole_requests(store: Path) -> None:
    """A third of the batches, all tokens of their requests, the expert that ran for each, twice the same."""
    with Index.open_private(store) as index:
        sample = sample_of_run(index, "run-a", 2, 3, most=4 * 32)
        again = sample_of_run(index, "run-a", 2, 3, most=4 * 32)
    assert (sample.n_decisions, sample.n_run_decisions) == (128, N_BATCHES * 32)
    assert sorted(np.bincount(sample.document_T)) == [3] * 4 + [5] * 4
    assert len({name.split("-")[0] for name in sample.request_ids}) == 4
    assert sample.token_id_T.tolist() == (100 + sample.position_T).tolist()
    assert (sample.expert_S == 0).all()
    assert len(sample.token_S) == 2 * len(sample.document_T)
    assert (sample.first_TL == 0).all()
    assert sample.request_ids == again.request_ids
    assert (sample.half_D == halves_of(sample.request_ids)).all()
    assert set(sample.domains) <= {"law", "mail"}


def test_erased_tokens_are_unknown_in_the_sample(store: Path) -> None:
    """The decisions of a redacted request stay, its token ids are -1; the sums over documents are as before."""
    with Index.open_private(store) as index:
        before = log.document_experts(index, "run-a")
    redact(store, "r3-5", reason="asked for")
    with Index.open_private(store) as index:
        sample = sample_of_run(index, "run-a", 2, 3)
        pd.testing.assert_frame_equal(before, log.document_experts(index, "run-a"))
    erased = sample.document_T == sample.request_ids.index("r3-5")
    assert (sample.token_id_T[erased] == -1).all()
    assert (sample.token_id_T[~erased] >= 0).all()


def test_a_file_that_changed_is_not_read(store: Path) -> None:
    """Even where the index has not noticed yet: one sentence instead of wrong numbers."""
    with Index.open_private(store) as index:
        path = next(store.glob("segments/**/*.parquet"))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(SegmentError, match="routelens verify"):
            sample_of_run(index, "run-a", 2, 3)


def test_the_sums_over_documents_are_those_of_the_decisions(store: Path) -> None:
    """By domain and half: 6 batches each of 3 and 5 tokens in each of 2 layers; expert 0 ran for all of them."""
    with Index.open_private(store) as index:
        experts, layers = log.document_experts(index, "run-a"), log.document_layers(index, "run-a")
    assert set(experts["expert_id"]) == {0}
    assert layers.groupby("layer")["documents"].sum().tolist() == [24, 24]
    assert layers.groupby("layer")["n"].sum().tolist() == [96, 96]
    assert layers.groupby("layer")["nn"].sum().tolist() == [12 * (9 + 25)] * 2
    assert (experts["cc"].to_numpy() == layers["nn"].to_numpy()).all()
    assert (experts["cn"].to_numpy() == layers["nn"].to_numpy()).all()


def test_halves_are_halves_and_stay() -> None:
    """Of 2,000 ids 900 to 1,100 are in the first; a half depends on the id alone."""
    ids = [f"run.{i}" for i in range(2000)]
    halves = halves_of(ids)
    assert 900 < (halves == 0).sum() < 1100
    assert halves_of(ids[::-1]).tolist() == halves[::-1].tolist()


def test_the_run_to_describe_is_the_largest_of_the_newest_model(store: Path) -> None:
    """A run that is named must exist and hold decisions."""
    with SegmentSink(store, flush_seconds=3600) as sink:
        sink.begin_run(make_run("run-b"))
        sink.append([make_request("one", 1)], plain_batch([1]))
        sink.flush()
        sink.begin_run(make_run("dense", mode="dense"))
        sink.append([make_request("two", 1)], make_batch([]))
    with Index.open_private(store) as index:
        assert log.run_to_describe(index)["run_id"] == "run-a"
        assert log.run_to_describe(index, "run-b")["run_id"] == "run-b"
        with pytest.raises(RunNotFoundError):
            log.run_to_describe(index, "nobody")
        with pytest.raises(LogError, match="no decisions"):
            log.run_to_describe(index, "dense")

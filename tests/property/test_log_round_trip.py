"""The log gives back what was recorded: any requests, any decisions, in any portions."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moe_core.log import queries
from moe_core.log.encoding import LOGIT_SCALE, PROB_SCALE, dequantise, from_arrow, quantise, to_arrow
from moe_core.log.index import Index
from moe_core.log.manifest import ManifestWriter, read_manifest, start
from moe_core.log.store import create_store
from moe_core.log.verify import verify_store
from moe_core.log.writer import SegmentSink
from moe_core.records import RequestRecord, RoutingBatch
from tests.unit.log.build import make_request, make_run

N_LAYERS, N_EXPERTS = 2, 5

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
score = st.floats(-50, 50, width=32) | st.just(float("nan"))
share = st.floats(0, 1, width=32)


@st.composite
def portions(draw: st.DrawFn) -> list[tuple[list[RequestRecord], RoutingBatch]]:
    """1 to 3 appends of 0 to 3 requests; each token runs any subset of the experts of each layer."""
    result, number = [], 0
    for _ in range(draw(st.integers(1, 3))):
        requests, rows = [], []
        for index in range(draw(st.integers(0, 3))):
            n_tokens = draw(st.integers(1, 3))
            requests.append(
                make_request(
                    f"{draw(texts)}#{number}",
                    n_tokens,
                    text=draw(texts | st.none()),
                    domain=draw(texts | st.none()),
                    attributes=draw(st.dictionaries(texts, texts, max_size=2)),
                    score=draw(score | st.none()),
                )
            )
            number += 1
            for position in range(n_tokens):
                for layer in range(N_LAYERS):
                    experts = draw(st.lists(st.integers(0, N_EXPERTS - 1), unique=True, max_size=3))
                    rows += [
                        (index, position, layer, expert, rank, draw(st.booleans()), draw(score), draw(share),
                         draw(st.floats(0, 8, width=32)), draw(score), draw(st.integers(0, 31)))
                        for rank, expert in enumerate(experts)
                    ]  # fmt: skip
        result.append((requests, _batch(rows)))
    return result


def _batch(rows: list[tuple[object, ...]]) -> RoutingBatch:
    names = ("request_index_N", "position_N", "layer_N", "expert_id_N", "rank_N", "selected_N", "logit_N", "prob_N",
             "gate_weight_N", "margin_N", "flags_N")  # fmt: skip
    types = (np.uint32, np.uint32, np.uint16, np.uint16, np.uint16, np.bool_, *[np.float32] * 4, np.uint8)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return RoutingBatch(**{n: np.array(c, t) for n, c, t in zip(names, columns, types, strict=True)})


def _close(stored: np.ndarray, given_: np.ndarray, scale: int) -> bool:
    """Equal within half a step, unknown where unknown."""
    return bool(np.all(np.isclose(stored, given_, rtol=0, atol=0.5 / scale + 1e-9, equal_nan=True)))


@given(portions())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_goes_in_comes_out(data: list[tuple[list[RequestRecord], RoutingBatch]]) -> None:
    """Ids, texts and flags exactly, numbers within half a step, in sum over the rollups, too; and verify agrees."""
    with tempfile.TemporaryDirectory() as folder:
        with SegmentSink(folder, flush_seconds=3600) as sink:
            sink.begin_run(make_run(n_layers=N_LAYERS, n_experts=N_EXPERTS))
            for requests, batch in data:
                sink.append(requests, batch)
                sink.flush()
        n = sum(len(batch) for _, batch in data)
        report = verify_store(Path(folder))
        assert (report.ok, report.decisions) == (True, n)
        with Index.open_private(folder) as index:
            for requests, batch in data:
                for i, request in enumerate(requests):
                    _compare(index, request, batch, batch.request_index_N == i)
            load = queries.expert_load(index)
            assert load["n"].sum() == sum(int(batch.selected_N.sum()) for _, batch in data)
            assert load["n"].sum() + load["n_runner_up"].sum() == n


def _compare(index: Index, request: RequestRecord, batch: RoutingBatch, of_request_N: np.ndarray) -> None:
    (row,) = queries.request_detail(index, request.request_id).to_dict("records")
    for name in ("text", "domain", "score"):
        expected = getattr(request, name)
        unknown = expected is None or expected != expected
        assert (row[name] is None or row[name] != row[name]) if unknown else row[name] == expected
    assert row["attributes"] == request.attributes
    trace = queries.request_trace(index, request.request_id)
    for name in ("position", "layer", "expert_id", "rank", "selected", "flags"):
        assert trace[name].tolist() == getattr(batch, f"{name}_N")[of_request_N].tolist()
    for name, scale in (
        ("logit", LOGIT_SCALE),
        ("margin", LOGIT_SCALE),
        ("prob", PROB_SCALE),
        ("gate_weight", PROB_SCALE),
    ):
        assert _close(trace[name].to_numpy(float), getattr(batch, f"{name}_N")[of_request_N].astype(float), scale), name


@given(st.lists(st.floats(-2e6, 2e6, width=32), min_size=1, max_size=50), st.floats(0, 1, width=32))
def test_quantisation_is_off_by_half_a_step_at_most(logits: list[float], prob: float) -> None:
    """For logits and margins up to two million and for every probability; through Arrow as well."""
    n = len(logits)
    batch = _batch([(0, i, 0, 0, 0, True, x, prob, prob * 100, -x, 0) for i, x in enumerate(logits)])
    rows_N = from_arrow(to_arrow([quantise(batch, 0)])).rows_N
    assert _close(dequantise(rows_N["logit"], LOGIT_SCALE), np.array(logits), LOGIT_SCALE)
    assert _close(dequantise(rows_N["margin"], LOGIT_SCALE), -np.array(logits), LOGIT_SCALE)
    assert _close(dequantise(rows_N["prob"], PROB_SCALE), np.full(n, prob), PROB_SCALE)
    assert _close(dequantise(rows_N["gate_weight"], PROB_SCALE), batch.gate_weight_N.astype(float), PROB_SCALE)


@given(st.lists(texts, min_size=1, max_size=6), st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_flipped_bit_breaks_a_chain(whats: list[str], data: st.DataObject) -> None:
    """Texts of any kind go into a manifest and come back; with one bit changed, reading stops or the end is torn."""
    with tempfile.TemporaryDirectory() as folder:
        store = create_store(folder)
        writer = ManifestWriter(store)
        for what in whats:
            writer.append("event", {"actor": None, "what": what, "from": what, "to": None})
        writer.close()
        begin = start(store, writer.writer_id)
        assert [entry.fields["what"] for entry in read_manifest(writer.path, begin).entries] == whats
        raw = bytearray(writer.path.read_bytes())
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        writer.path.write_bytes(raw)
        reading = read_manifest(writer.path, begin)
        assert len(reading.entries) < len(whats)
        assert reading.error is not None or reading.torn_bytes > 0

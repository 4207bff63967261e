"""Decisions as quantised Arrow columns."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_core.errors import LogError
from moe_core.log import encoding, segments
from moe_core.log.encoding import (
    LOGIT_SCALE,
    PROB_SCALE,
    ROW_DTYPE,
    dequantise,
    from_arrow,
    quantise,
    to_arrow,
)
from moe_core.log.views import index_sql
from tests.unit.log.build import Row, make_batch

ROW: Row = (0, 0, 0, 0, 0, True, 1.0, 0.5, 1.0, 0.25, 0)


def row(**changes: object) -> Row:
    names = ("request", "position", "layer", "expert", "rank", "selected", "logit", "prob", "gate", "margin", "flags")
    return tuple(changes.get(name, value) for name, value in zip(names, ROW, strict=True))  # type: ignore[return-value]


def test_values_become_whole_steps() -> None:
    """1.0 is 1,024 steps of a logit, 0.5 is 32,767.5 steps of a probability, rounded to even."""
    decisions = quantise(make_batch([ROW]), first_request_no=7)
    assert decisions.rows_N[0].tolist() == (7, 0, 0, 0, 0, True, 0, 1024, 32768, 65535, 256)


@pytest.mark.parametrize("logit", [40.0, -75.5, 1000.25])
def test_a_large_logit_is_not_clipped(logit: float) -> None:
    """16 bits would end at 32; the log holds what the router said."""
    decisions = quantise(make_batch([row(logit=logit, margin=-logit)]), 0)
    assert dequantise(decisions.rows_N["logit"], LOGIT_SCALE)[0] == logit
    assert dequantise(decisions.rows_N["margin"], LOGIT_SCALE)[0] == -logit


def test_a_gate_weight_above_1_is_stored_as_it_is() -> None:
    """Models with scaled routing weights have gates of 2.5; none is cut to 1."""
    decisions = quantise(make_batch([row(gate=2.5)]), 0)
    assert dequantise(decisions.rows_N["gate_weight"], PROB_SCALE)[0] == pytest.approx(2.5, abs=0.5 / PROB_SCALE)


@pytest.mark.parametrize(("name", "value"), [("prob", 1.7), ("prob", -0.1), ("gate", 1e6), ("gate", float("inf"))])
def test_an_impossible_value_is_refused(name: str, value: float) -> None:
    """What cannot be a probability or a gate weight points at a faulty recorder and is said, not bent."""
    with pytest.raises(LogError, match="check the recorder"):
        quantise(make_batch([row(**{name: value})]), 0)


def test_a_softmax_that_ends_just_above_1_is_1() -> None:
    """float32 rounding is no error."""
    assert quantise(make_batch([row(prob=1.0000002)]), 0).rows_N["prob"][0] == PROB_SCALE


def test_unknown_values_become_null_and_come_back_as_nan() -> None:
    """Traces with ids only have no logits: NULL, never 0."""
    nan = float("nan")
    decisions = quantise(make_batch([row(logit=nan, prob=nan, gate=nan, margin=nan), row(position=1)]), 0)
    table = to_arrow([decisions])
    assert [table.column(name).null_count for name in ("logit", "prob", "gate_weight", "margin")] == [1, 1, 1, 1]
    assert np.isnan(dequantise(from_arrow(table).rows_N["logit"], LOGIT_SCALE)).tolist() == [True, False]


def test_infinite_scores_are_the_end_of_the_range() -> None:
    """A margin over a threshold of minus infinity is stored as the largest number, not as NULL."""
    decisions = quantise(make_batch([row(logit=float("-inf"), margin=float("inf"))]), 0)
    assert dequantise(decisions.rows_N["margin"], LOGIT_SCALE)[0] > 2_000_000
    assert dequantise(decisions.rows_N["logit"], LOGIT_SCALE)[0] < -2_000_000


def test_the_same_expert_twice_is_refused() -> None:
    """(request, position, layer, expert) is the key."""
    with pytest.raises(LogError, match="same request, position, layer and expert"):
        quantise(make_batch([row(), row(rank=1, selected=False)]), 0)


@pytest.mark.parametrize("expert", [0, 63, 64, 300, 511])
def test_a_repeated_expert_is_found_among_512(expert: int) -> None:
    """Large layers are checked as small ones are."""
    rows = [row(expert=e, rank=e) for e in range(512)]
    quantise(make_batch(rows), 0)
    with pytest.raises(LogError, match="same request"):
        quantise(make_batch([*rows, row(expert=expert, rank=512)]), 0)


def test_the_same_expert_in_two_layers_is_fine() -> None:
    """Experts of different layers share nothing but their number."""
    assert len(quantise(make_batch([row(), row(layer=1), row(layer=1, position=1)]), 0)) == 3


def test_unsorted_decisions_are_sorted() -> None:
    """Readers may rely on (request, position, layer, rank) whatever a recorder hands over."""
    rows = [row(request=1), row(position=2), row(layer=1), row(rank=1, expert=2), row()]
    stored = quantise(make_batch(rows), 0).rows_N
    assert [tuple(r)[:5] for r in stored.tolist()] == [
        (0, 0, 0, 0, 0), (0, 0, 0, 2, 1), (0, 0, 1, 0, 0), (0, 2, 0, 0, 0), (1, 0, 0, 0, 0),
    ]  # fmt: skip


def test_a_position_beyond_65535_is_stored() -> None:
    """Long contexts have longer positions than 16 bits."""
    assert quantise(make_batch([row(position=1_000_000)]), 0).rows_N["position"][0] == 1_000_000


def test_arrow_and_parquet_give_back_every_bit(tmp_path: Path) -> None:
    """rows -> Arrow -> Parquet file -> Arrow -> rows is the identity."""
    rows_N = np.zeros(1000, ROW_DTYPE)
    rng = np.random.default_rng(3)
    rows_N["request_no"], rows_N["layer"] = np.repeat(np.arange(10), 100), np.tile(np.arange(100), 10)
    rows_N["expert_id"], rows_N["flags"] = rng.integers(0, 512, 1000), rng.integers(0, 32, 1000)
    for name in ("logit", "prob", "gate_weight", "margin"):
        rows_N[name] = rng.integers(-(2**31), 2**31 - 1, 1000)
    from moe_core.log.encoding import Decisions

    path = tmp_path / "x.parquet"
    segments.write_durable(path, segments.parquet_bytes(to_arrow([Decisions(rows_N)]), {}))
    assert (from_arrow(segments.read_parquet(path)).rows_N == rows_N).all()


def test_sql_and_python_agree_on_the_scales() -> None:
    """The views divide by the same numbers that the writer multiplied with."""
    sql = index_sql("views")
    assert f"d.logit / {LOGIT_SCALE} " in sql
    assert f"d.prob / {PROB_SCALE} " in sql


needs_compiled = pytest.mark.skipif(encoding.QUANTISE is None, reason="the compiled part was not built: no compiler")
REAL = st.floats(width=32, allow_nan=True, allow_infinity=True)
UNIT = st.floats(-(2.0**-11), 1 + 2.0**-11, width=32) | st.just(float("nan"))
GATE = st.floats(-31_000, 31_000, width=32) | st.just(float("nan"))


def both_ways(rows: list[Row], first: int) -> list[bytes | str]:
    """The rows or the refusal, compiled and not."""
    found: list[bytes | str] = []
    compiled = encoding.QUANTISE
    for way in (compiled, None):
        encoding.QUANTISE = way
        try:
            found.append(quantise(make_batch(rows), first).rows_N.tobytes())
        except LogError as error:
            found.append(str(error))
        finally:
            encoding.QUANTISE = compiled
    return found


@needs_compiled
@given(st.lists(st.tuples(REAL, UNIT, GATE, REAL, st.booleans(), st.integers(0, 31)), max_size=12), st.integers(0, 9))
def test_the_compiled_pass_quantises_as_numpy_does(
    values: list[tuple[float, float, float, float, bool, int]], first: int
) -> None:
    """Any values, unknown and infinite ones among them: the same bytes."""
    rows: list[Row] = [
        (i // 6, i // 2 % 3, 0, i % 2, i % 2, ran, logit, prob, gate, margin, flags)
        for i, (logit, prob, gate, margin, ran, flags) in enumerate(values)
    ]
    compiled, plain = both_ways(rows, first)
    assert compiled == plain
    assert isinstance(compiled, bytes)


@needs_compiled
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 1), st.sampled_from([0, 1, 63, 64, 40_000]),
                  st.integers(0, 2), st.sampled_from([0.5, 1.7])),
        max_size=6,
    )
)  # fmt: skip
def test_the_compiled_pass_passes_on_what_is_out_of_order_or_impossible(
    keys: list[tuple[int, int, int, int, int, float]],
) -> None:
    """Any order, repeated keys, ids that are too large, impossible probabilities: the same rows or the same refusal."""
    rows: list[Row] = [(r, p, la, e, k, True, 1.0, prob, 1.0, 0.25, 0) for r, p, la, e, k, prob in keys]
    compiled, plain = both_ways(rows, 0)
    assert compiled == plain

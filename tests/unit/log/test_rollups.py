"""What one batch adds to the rollups, counted by hand and against a slow loop."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_core.errors import SegmentError
from moe_core.log import cells as cells_of_counts
from moe_core.log import rollups
from moe_core.log.encoding import DECISION_SCHEMA
from moe_core.log.halves import halves_of
from moe_core.log.rollups import DECISION_COLUMNS, BatchSums, sums_of_batch

T0 = datetime(2026, 3, 1, 10, 59, 59)

Decision = dict[str, Any]


def decisions_table(rows: list[Decision]) -> pa.Table:
    schema = pa.schema([DECISION_SCHEMA.field(name) for name in DECISION_COLUMNS])
    return pa.Table.from_pylist([{name: row[name] for name in DECISION_COLUMNS} for row in rows], schema)


def requests_table(requests: dict[int, tuple[datetime, str | None]]) -> pa.Table:
    return pa.table(
        {
            "request_no": pa.array(list(requests), pa.uint32()),
            "request_id": pa.array([f"r{number}" for number in requests], pa.string()),
            "started_at": pa.array([at for at, _ in requests.values()], pa.timestamp("us")),
            "domain": pa.array([domain for _, domain in requests.values()], pa.string()),
        }
    )


def slow_sums(rows: list[Decision], requests: dict[int, tuple[datetime, str | None]]) -> dict[str, dict[Any, Any]]:
    """The same sums, one decision after the other."""
    load: dict[Any, dict[str, Any]] = defaultdict(
        lambda: (
            dict.fromkeys(("n", "margin_n", "floor_n", "failover_n", "dropped_n", "n_runner_up"), 0)
            | dict.fromkeys(("gate_steps", "prob_steps", "margin_steps"))
        )
    )
    ran: dict[Any, list[int]] = defaultdict(list)
    for row in rows:
        at, domain = requests[row["request_no"]]
        cell = load[at.replace(minute=0, second=0, microsecond=0), row["layer"], row["expert_id"], domain]
        place = ran[row["request_no"], row["position"], row["layer"]]
        if not row["selected"]:
            cell["n_runner_up"] += 1
            continue
        place.append(row["expert_id"])
        cell["n"] += 1
        cell["margin_n"] += row["margin"] is not None
        for bit, name in ((1, "floor_n"), (2, "failover_n"), (4, "dropped_n")):
            cell[name] += row["flags"] & bit != 0
        for name, column in (("gate_steps", "gate_weight"), ("prob_steps", "prob"), ("margin_steps", "margin")):
            if row[column] is not None:
                cell[name] = (cell[name] or 0) + row[column]
    active = Counter((layer, requests[number][1], len(experts)) for (number, _, layer), experts in ran.items())
    pairs = Counter((layer, a, b) for (_, _, layer), experts in ran.items() for a in experts for b in experts if a < b)
    return {"load": dict(load), "active": active, "pairs": pairs} | slow_documents(ran, requests)


def slow_documents(ran: dict[Any, list[int]], requests: dict[int, tuple[datetime, str | None]]) -> dict[str, Any]:
    """Sums over requests: of each request first, then of the domains and halves."""
    tokens = Counter((number, layer) for number, _, layer in ran)
    runs = Counter((number, layer, expert) for (number, _, layer), experts in ran.items() for expert in experts)
    group = {number: (domain, int(halves_of([f"r{number}"])[0])) for number, (_, domain) in requests.items()}
    experts: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for (number, layer, expert), c in runs.items():
        added = (1, c, c * c, c * tokens[number, layer])
        cell = experts[*group[number], layer, expert]
        cell[:] = [a + b for a, b in zip(cell, added, strict=True)]
    layers: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0])
    for (number, layer), n in tokens.items():
        cell = layers[*group[number], layer]
        cell[:] = [a + b for a, b in zip(cell, (1, n, n * n), strict=True)]
    return {"document_experts": dict(experts), "document_layers": dict(layers)}


def as_dicts(sums: BatchSums) -> dict[str, dict[Any, Any]]:
    """In the form of `slow_sums`; cells of `active` that differ in the hour only are added up, as the index does."""
    keys = ("hour", "layer", "expert_id", "domain")
    load = {tuple(row.pop(key) for key in keys): row for row in sums.load.to_pylist()}
    assert len(load) == sums.load.num_rows
    active: Counter[Any] = Counter()
    for row in sums.active.to_pylist():
        active[row["layer"], row["domain"], row["num_active"]] += row["tokens"]
    pairs = {(row["layer"], row["first"], row["second"]): row["n"] for row in sums.pairs.to_pylist()}
    names = ("documents", "c", "cc", "cn")
    experts = {
        (row["domain"], row["half"], row["layer"], row["expert_id"]): [row[name] for name in names]
        for row in sums.documents.experts.to_pylist()
    }
    layers = {
        (row["domain"], row["half"], row["layer"]): [row[name] for name in ("documents", "n", "nn")]
        for row in sums.documents.layers.to_pylist()
    }
    assert (len(experts), len(layers)) == (sums.documents.experts.num_rows, sums.documents.layers.num_rows)
    return {"load": load, "active": active, "pairs": pairs, "document_experts": experts, "document_layers": layers}


def decision(request_no: int, position: int, layer: int, expert_id: int, **changes: Any) -> Decision:
    plain = {"selected": True, "flags": 0, "prob": 100, "gate_weight": 10, "margin": 1}
    return {"request_no": request_no, "position": position, "layer": layer, "expert_id": expert_id} | plain | changes


def test_two_tokens_counted_by_hand() -> None:
    """Token 0 ran experts 2 and 0, token 1 expert 0 by the floor; expert 1 was the runner-up of both. One hour, one
    domain. A margin that is not known is in no sum, and a sum of nothing is NULL."""
    rows = [
        decision(7, 0, 0, 2), decision(7, 0, 0, 0, margin=None), decision(7, 0, 0, 1, selected=False, margin=-3),
        decision(7, 1, 0, 0, flags=1, margin=-2, prob=50), decision(7, 1, 0, 1, selected=False, margin=-4),
    ]  # fmt: skip
    sums = sums_of_batch(decisions_table(rows), requests_table({7: (T0, "law")}))
    names = ("expert_id", "n", "gate_steps", "prob_steps", "margin_steps", "margin_n", "floor_n", "n_runner_up")
    assert [[row[name] for name in names] for row in sums.load.to_pylist()] == [
        [0, 2, 20, 150, -2, 1, 1, 0], [1, 0, None, None, None, 0, 0, 2], [2, 1, 10, 100, 1, 1, 0, 0],
    ]  # fmt: skip
    assert {row["hour"] for row in sums.load.to_pylist()} == {datetime(2026, 3, 1, 10)}
    assert {row["domain"] for row in sums.load.to_pylist()} == {"law"}
    assert sums.active.to_pylist() == [
        {"layer": 0, "domain": "law", "num_active": 1, "tokens": 1},
        {"layer": 0, "domain": "law", "num_active": 2, "tokens": 1},
    ]
    assert sums.pairs.to_pylist() == [{"layer": 0, "first": 0, "second": 2, "n": 1}]


def test_the_sums_over_two_documents_counted_by_hand() -> None:
    """Request 7 has 2 tokens and ran expert 0 for both; request 8 has 1 token and ran it. c = 2, 1 and n = 2, 1: the
    sums of c^2, c n and n^2 are 5 each where both lie in one half; here each half holds what is its own."""
    rows = [decision(7, 0, 0, 0), decision(7, 1, 0, 0), decision(8, 0, 0, 0)]
    sums = sums_of_batch(decisions_table(rows), requests_table({7: (T0, "law"), 8: (T0, "law")})).documents
    of_half = {half: [number for number in (7, 8) if halves_of([f"r{number}"])[0] == half] for half in (0, 1)}
    squares = {7: 4, 8: 1}
    for row in sums.experts.to_pylist():
        expected = sum(squares[number] for number in of_half[row["half"]])
        assert (row["cc"], row["cn"]) == (expected, expected)
    assert sum(row["nn"] for row in sums.layers.to_pylist()) == 5
    assert sum(row["documents"] for row in sums.layers.to_pylist()) == 2


known = st.integers(-(2**31) + 1, 2**31 - 1)
cells = st.fixed_dictionaries(
    {
        "selected": st.booleans(), "flags": st.integers(0, 31), "prob": st.none() | st.integers(0, 65535),
        "gate_weight": st.none() | known, "margin": st.none() | known,
    }
)  # fmt: skip
keys = st.tuples(st.integers(3, 6), st.integers(0, 2), st.integers(0, 2), st.integers(0, 4))
times = st.tuples(st.integers(-5000, 5000), st.sampled_from([None, "law", "chat"]))


@pytest.mark.parametrize("few_cells", [0, 1 << 16], ids=["numbers that occur", "all numbers"])
@given(
    rows=st.dictionaries(keys, cells, max_size=40), about=st.lists(times, min_size=4, max_size=4), at=st.integers(1, 9)
)
def test_the_sums_are_those_of_a_loop(rows: dict[Any, Any], about: list[Any], at: int, few_cells: int) -> None:
    """Any decisions of any requests, also from before 1970, whatever is not known of them."""
    requests = {3 + i: (datetime(1970, 1, 2) + timedelta(minutes=m), domain) for i, (m, domain) in enumerate(about)}
    decisions = [decision(*key) | rows[key] for key in sorted(rows)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells_of_counts, "FEW_CELLS", few_cells)
        patch.setattr(rollups, "ROWS_AT_ONCE", at)
        found = as_dicts(sums_of_batch(decisions_table(decisions), requests_table(requests)))
    assert found == slow_sums(decisions, requests)


def test_the_largest_margins_are_added_exactly() -> None:
    """3 M decisions with an infinite margin: their sum is beyond what float64 counts in one go."""
    n = 3_000_000
    columns = {
        "request_no": np.zeros(n, np.uint32), "position": np.arange(n), "layer": np.zeros(n), "expert_id": np.zeros(n),
        "selected": np.ones(n, bool), "flags": np.zeros(n), "prob": np.ones(n), "gate_weight": np.ones(n),
        "margin": np.full(n, 2**31 - 1),
    }  # fmt: skip
    table = pa.table(
        {name: pa.array(values).cast(DECISION_SCHEMA.field(name).type) for name, values in columns.items()}
    )
    assert sums_of_batch(table, requests_table({0: (T0, None)})).load["margin_steps"].to_pylist() == [n * (2**31 - 1)]


def test_a_decision_of_no_request_is_refused() -> None:
    """Neither dropped nor counted for another request."""
    for number in (6, 8):
        with pytest.raises(SegmentError, match="not in its batch"):
            sums_of_batch(decisions_table([decision(number, 0, 0, 0)]), requests_table({7: (T0, None)}))

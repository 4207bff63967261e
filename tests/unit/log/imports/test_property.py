"""Any valid tables, in any order of rows and with any optional column left out, come back as they were."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moe_core.log.imports.parquet import import_parquet
from moe_core.log.index import Index
from moe_core.log.verify import verify_store
from tests.unit.log.imports.build import Table, write_folder

N_LAYERS, N_EXPERTS = 3, 70
OPTIONAL = ("rank", "selected", "logit", "prob", "gate_weight", "margin", "flags", "token_id")
STEPS = {"logit": 1024, "margin": 1024, "prob": 65535, "gate_weight": 65535}

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@st.composite
def folders(draw: st.DrawFn) -> tuple[list[dict[str, Any]], Table, Table]:
    """1 or 2 runs; 1 to 4 requests each; any experts at any positions and layers; rows in file order or shuffled."""
    run_ids = draw(st.lists(st.from_regex(r"[a-z=/%]{1,6}", fullmatch=True), min_size=1, max_size=2, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    requests: Table = {"run_id": [], "request_id": [], "label": [], "started_at": []}
    keys = []
    for run_id in run_ids:
        for request_id in draw(st.lists(text, min_size=1, max_size=4, unique=True)):
            for name, value in zip(requests, (run_id, request_id, draw(st.none() | text),
                                              f"2026-03-0{rng.integers(1, 4)}T00:00:00Z"), strict=True):  # fmt: skip
                requests[name].append(value)
            for position in rng.choice(9, rng.integers(0, 4), replace=False).tolist():
                for layer in rng.choice(N_LAYERS, rng.integers(1, 3), replace=False).tolist():
                    experts = rng.choice(N_EXPERTS, rng.integers(1, 5), replace=False).tolist()
                    keys += [(run_id, request_id, position, layer, expert, rank) for rank, expert in enumerate(experts)]
    if not keys:
        keys = [(run_ids[0], requests["request_id"][0], 0, 0, 0, 0)]
    order = rng.permutation(len(keys)) if draw(st.booleans()) else np.arange(len(keys))
    keys = [keys[i] for i in order]
    decisions: Table = {
        name: [key[i] for key in keys]
        for i, name in enumerate(("run_id", "request_id", "position", "layer", "expert_id", "rank"))
    }
    n = len(keys)
    decisions["selected"] = (rng.random(n) < 0.7).tolist()
    for name, low, high in (("logit", -40, 40), ("margin", -5, 5), ("prob", 0, 1), ("gate_weight", 0, 9)):
        values = rng.uniform(low, high, n).tolist()
        decisions[name] = [None if rng.random() < 0.2 else value for value in values]
        decisions[name][0] = 0.5  # a column of nothing but None has no type
    decisions["flags"] = rng.integers(0, 16, n).tolist()
    decisions["token_id"] = [7 * key[2] for key in keys]
    for name in draw(st.lists(st.sampled_from(OPTIONAL), max_size=4, unique=True)):
        del decisions[name]
    runs = [{"run_id": run_id, "n_layers": N_LAYERS, "n_experts": N_EXPERTS} for run_id in run_ids]
    return runs, requests, decisions


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(folders())
def test_what_is_imported_comes_back(tables: tuple[list[dict[str, Any]], Table, Table]) -> None:
    """Every key once; every given value to half a quantised step; what was left out as documented."""
    runs, requests, decisions = tables
    with tempfile.TemporaryDirectory() as name:
        folder = write_folder(Path(name) / "in", runs=runs, requests=requests, decisions=decisions)
        result = import_parquet(folder, Path(name) / "store")
        assert verify_store(Path(name) / "store").ok
        with Index.open_private(Path(name) / "store") as index:
            found = index.frame("SELECT * FROM decisions")
            labels = index.frame("SELECT run_id, request_id, label FROM requests")
    assert (result.decisions, result.requests) == (len(decisions["run_id"]), len(requests["run_id"]))
    key = ["run_id", "request_id", "position", "layer", "expert_id"]
    both = found.merge(pd.DataFrame(decisions), on=key, suffixes=("", "_given"), validate="one_to_one")
    assert len(both) == len(found) == result.decisions
    for column, steps in STEPS.items():
        if column in decisions:
            given_values = both[f"{column}_given"].astype(float)
            assert (both[column].isna() == given_values.isna()).all()
            assert ((both[column] - given_values).abs().fillna(0) <= 0.5001 / steps).all()
        else:
            assert both[column].isna().all()
    assert (both["flags"] == 16 | both.get("flags_given", 0)).all()
    assert (both["selected"] == both.get("selected_given", True)).all()
    if "rank" in decisions:
        assert (both["rank"] == both["rank_given"]).all()
    else:
        ranks = both.sort_values("rank").groupby(key[:4])["rank"].apply(list)
        assert all(list(range(len(rank))) == rank for rank in ranks)
    if "token_id" in decisions:
        assert (both["token_id"] == both["token_id_given"]).all()
    expected = pd.DataFrame(requests)[["run_id", "request_id", "label"]]
    merged = labels.merge(expected, on=["run_id", "request_id"], validate="one_to_one")
    assert len(merged) == result.requests
    assert [a if isinstance(a, str) else None for a in merged["label_x"]] == [
        b if isinstance(b, str) else None for b in merged["label_y"]
    ]

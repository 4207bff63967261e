"""The document: its rows, its sources of quality, what it says where dense is faster, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from moe_core.bench import document as report
from moe_core.bench import model_bench, quality
from moe_core.bench.model_bench import Effort, bench_model, check_threads
from moe_core.bench.variants import Variant, rival
from moe_core.bench.wall import record
from moe_core.cli.main import app
from moe_core.errors import InputError
from moe_core.model.encoder import Encoder

KEYS = {
    "variant", "regime", "threads", "ratio_wall_p50", "ratio_wall_p99", "ratio_flops_encoder", "ratio_flops_expert",
    "active_fraction", "quality_delta_points", "wall_p50_ms", "wall_p95_ms", "wall_p99_ms", "tokens_per_s",
    "flops_per_token", "ratio_flops_executed", "quality_n", "quality_low", "quality_high", "quality_source", "baseline",
    "weights",
}  # fmt: skip


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """A bench of the shipped model with next to no repetitions."""
    before = torch.get_num_threads()
    small = {regime: replace(effort, repetitions=2, at_least=1, counted=1, most_texts=8)
             for regime, effort in model_bench.QUICK.items() if regime != "batch256"}  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_bench, "QUICK", {**small, "batch256": Effort(1, 1, 0.0, ("dense", "adaptive@0.25"), 1, 8)})
        patch.setattr(model_bench, "QUALITY_TEXTS", {True: 4, False: 4})
        patch.setattr(model_bench, "_warm_up", lambda batches: batches[:1])
        made = bench_model(quick=True, threads=[1])
    assert torch.get_num_threads() == before
    return made


def test_every_row_has_every_key_and_dense_is_one(document: dict[str, Any]) -> None:
    """Scripts rely on the names; the baseline's ratios are 1 by construction."""
    rows = document["rows"]
    assert all(set(row) >= KEYS for row in rows)
    assert {row["regime"] for row in rows} == {"one", "one-long", "batch32", "batch256"}
    for row in rows:
        if row["variant"] == "dense":
            assert row["ratio_wall_p50"] == row["ratio_flops_encoder"] == row["active_fraction"] == 1.0
    assert {row["variant"] for row in rows} >= {"dense", "dense-aa", "adaptive@0.25", "topk@4"}
    json.dumps(document, allow_nan=False)


def test_flops_fall_with_the_budget_and_fixed_top_k_is_exact(document: dict[str, Any]) -> None:
    """4 of 16 experts are a quarter; what ran is never less than what was routed, routing of products aside."""
    rows = {row["variant"]: row for row in document["rows"] if row["regime"] == "one"}
    assert rows["topk@4"]["active_fraction"] == 0.25
    for name, row in rows.items():
        if name not in ("dense", "dense-aa"):
            assert 0 < row["ratio_flops_expert"] < row["ratio_flops_encoder"] < 1
            assert row["ratio_flops_executed"] > 0.99 * row["ratio_flops_encoder"]


def test_the_report_names_machine_date_noise_and_where_dense_is_faster(document: dict[str, Any]) -> None:
    """A figure without these is worth nothing."""
    text = report.markdown(document)
    for part in (document["machine"]["cpu"], document["made"], "Noise floor", "load average", "estimated", "dense-aa"):
        assert part in text or (part == "estimated" and "measured" in text)
    assert text.count("\n## ") >= 5
    row = {"variant": "adaptive@0.25", "regime": "one", "threads": 2, "ratio_wall_p50": 1.2}
    noise = {"variant": "dense-aa", "regime": "one", "threads": 2, "ratio_wall_p50": 0.98}
    assert report.slower_than_dense([row, noise]) == ["adaptive@0.25 takes 1.20 of its time in one with 2 threads"]
    assert report.slower_than_dense([{**row, "ratio_wall_p50": 1.01}, noise]) == []


def test_quality_comes_from_the_evaluation_of_the_same_weights_only(tmp_path: Path, tiny_dense: Encoder) -> None:
    """Mean over tasks; another model's evaluation, or a task without the point, gives nothing."""
    point = {"rule": "adaptive", "budget": 0.25, "delta_points": -0.4, "delta_low": -0.8, "delta_high": 0.0}
    tasks = [
        {"name": "a", "n": 100, "points": [point]},
        {"name": "b", "n": 50, "points": [{**point, "delta_points": 0.2}]},
    ]
    (tmp_path / "evaluation.json").write_text(json.dumps({"model_sha256": "x", "tasks": tasks}))
    variant = Variant(name="adaptive@0.25", encoder=tiny_dense, rule="adaptive", budget=0.25)
    read = quality.read_evaluation(tmp_path, "x")
    assert read is not None
    found = quality.evaluated(read, variant)
    assert found is not None
    assert found.n == 150
    assert found.points == pytest.approx(-0.1)
    assert found.high is not None
    assert found.high - found.points == pytest.approx(0.4 / 2**0.5)
    assert quality.evaluated(read, replace(variant, budget=0.35)) is None
    assert quality.read_evaluation(tmp_path, "y") is None
    assert quality.read_evaluation(tmp_path / "absent", "x") is None


def test_wall_times_are_kept_beside_the_quality_of_the_same_weights(document: dict[str, Any], tmp_path: Path) -> None:
    """Adaptive rows only, with machine and date; what else the file holds stays; other weights are refused."""
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps({"model_sha256": document["model_sha256"], "tasks": [1], "wall": ["old"]}))
    assert record(tmp_path, document) == path
    kept = json.loads(path.read_text())
    rows = [row for row in document["rows"] if row["variant"] == "adaptive@0.25"]
    mine = [row for row in kept["wall"] if row["budget"] == 0.25]
    assert [row["ratio_wall_p50"] for row in mine] == [row["ratio_wall_p50"] for row in rows]
    assert kept["tasks"] == [1]
    assert document["machine"]["cpu"] in kept["wall_machine"]
    path.write_text(json.dumps({"model_sha256": "y"}))
    with pytest.raises(InputError, match="routelens evaluate"):
        record(tmp_path, document)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--threads", "two"], "no list of numbers"),
        (["--threads", "0"], "from 1 to"),
        (["--threads", "1,1"], "each number once"),
        (["--threads", "9999"], "from 1 to"),
        (["--model", "/nowhere"], "/nowhere"),
        (["--markdown", "/nowhere/x.md"], "there is no folder"),
    ],
)
def test_a_bad_option_is_refused_in_one_sentence(options: list[str], part: str) -> None:
    """Before anything is measured."""
    result = CliRunner().invoke(app, ["bench", "model", "--quick", *options])
    assert result.exit_code != 0
    assert part in str(result.exception)


def test_a_rival_with_an_unknown_rule_is_refused() -> None:
    """The sentence shows the forms that work."""
    for text in ("=topk@0", "=topk@many", "=best"):
        with pytest.raises(InputError, match="use DIR, DIR=adaptive"):
            rival(str(Path("data/models/reference").resolve()) + text)
    with pytest.raises(InputError, match="must name"):
        check_threads([])

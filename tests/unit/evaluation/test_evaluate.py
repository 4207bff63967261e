"""The whole evaluation on a tiny model: the document has what others read, and bad input is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from moe_core.errors import InputError
from moe_core.evaluation.evaluate import EvaluationConfig, evaluate
from moe_core.evaluation.labelled import read_labelled
from moe_core.evaluation.lost_experts import LossPlan
from moe_core.model.reference import RoutedModel

Write = Callable[..., Path]
LOST = LossPlan(singles=4, pairs=2, screen_tokens=60, confirm=1)


def test_the_document_holds_every_part_of_the_contract(model: RoutedModel, tmp_path: Path, write_task: Write) -> None:
    """Tasks with a head and a test set, an unseen task, behaviour cases, and all that is measured once."""
    for name in ("sentiment", "mood", "headless"):
        write_task(tmp_path / "tasks" / name)
    config = EvaluationConfig(
        tasks=tmp_path / "tasks", unseen=(write_task(tmp_path / "intents"),), lost=LOST, difficulty_tokens=300,
        behaviour=write_task(tmp_path / "cases") / "test.jsonl",
    )  # fmt: skip
    stages = [what for what, _ in evaluate(model, config)]
    assert stages == ["mood", "sentiment", "behaviour", "intents", "lost experts", "difficulty", "all"]
    document = json.loads((model.folder / "evaluation.json").read_text())
    assert document["model_sha256"] == model.sha256
    assert document["budgets"] == [1.0, 0.5, 0.35, 0.25]  # 0.15 is below what the dial measured
    assert [task["name"] for task in document["tasks"]] == ["mood", "sentiment"]
    assert [(task["name"], task["kind"]) for task in document["unseen"]] == [
        ("behaviour_cases", "unseen"), ("intents", "unseen"),
    ]  # fmt: skip
    for task in [*document["tasks"], *document["unseen"]]:
        assert task["n"] == 40
        rules = [(p["rule"], p["budget"]) for p in task["points"]]
        assert rules == [*(("adaptive", b) for b in document["budgets"]), *(("topk", b) for b in (0.5, 0.35, 0.25))]
        assert all(p["delta_low"] <= p["delta_points"] <= p["delta_high"] for p in task["points"])
        assert all(0 < p["active_fraction"] <= 1 and p["flops_ratio"] > 0 for p in task["points"])
    assert len(document["layers"]) == 4 * model.config.n_layers
    assert [load["budget"] for load in document["load"]] == document["budgets"]
    everything = next(load for load in document["load"] if load["budget"] == 1)
    assert (everything["busiest_ratio"], everything["dead"]) == (1.0, 0)
    assert {f["verdict"] for f in document["findings"]} <= {"holds", "open", "does not hold"}


def test_wall_times_of_the_same_weights_stay_and_those_of_others_go(
    model: RoutedModel, tmp_path: Path, write_task: Write
) -> None:
    """They are measured by another verb; figures of other weights would be wrong here."""
    write_task(tmp_path / "tasks" / "mood")
    config = EvaluationConfig(tasks=tmp_path / "tasks", lost=LOST, budgets=(1.0, 0.35), base_budgets=(0.35,))
    path, wall = model.folder / "evaluation.json", [{"budget": 0.35, "ratio_wall_p50": 0.6}]
    for sha256, expected in ((model.sha256, wall), ("b" * 64, [])):
        path.write_text(json.dumps({"model_sha256": sha256, "wall": wall}))
        list(evaluate(model, config))
        assert json.loads(path.read_text())["wall"] == expected


def test_one_part_is_measured_again_and_the_others_stay(model: RoutedModel, tmp_path: Path, write_task: Write) -> None:
    """The part's row and its escalation take the place of the old ones; of other weights, or of no part, nothing."""
    for name in ("sentiment", "mood"):
        write_task(tmp_path / "tasks" / name)
    small = {"lost": LOST, "budgets": (1.0, 0.35, 0.25), "base_budgets": (0.25,), "difficulty_tokens": 300}
    config = EvaluationConfig(tasks=tmp_path / "tasks", **small)
    path = model.folder / "evaluation.json"
    with pytest.raises(InputError, match=r"holds no figures of these weights: measure everything once"):
        list(evaluate(model, EvaluationConfig(tasks=tmp_path / "tasks", only=("mood",), **small)))
    list(evaluate(model, config))
    before = json.loads(path.read_text())
    again = EvaluationConfig(tasks=tmp_path / "tasks", only=("mood",), n=20, **small)
    assert [what for what, _ in evaluate(model, again)] == ["mood", "all"]
    after = json.loads(path.read_text())
    assert [(task["name"], task["n"]) for task in after["tasks"]] == [("mood", 20), ("sentiment", 40)]
    assert after["tasks"][1] == before["tasks"][1]
    counted = sorted({(row["task"], row["n"]) for row in after["escalation"]})
    assert counted == [("mood", 20), ("sentiment", 40)]
    assert len(after["escalation"]) == len(before["escalation"])
    assert {k: after[k] for k in ("lost_experts", "difficulty", "layers", "load")} == {
        k: before[k] for k in ("lost_experts", "difficulty", "layers", "load")
    }
    with pytest.raises(InputError, match=r"--only moods: no such part here; use one of mood, sentiment, lost experts"):
        list(evaluate(model, EvaluationConfig(tasks=tmp_path / "tasks", only=("moods",), **small)))


def test_nothing_to_measure_on_is_said_in_one_sentence(model: RoutedModel, tmp_path: Path, write_task: Write) -> None:
    """An empty task folder, an unseen task whose sides overlap, and a line without label."""
    with pytest.raises(InputError, match=r"holds no test set of a head.*data get sentiment"):
        list(evaluate(model, EvaluationConfig(tasks=tmp_path / "none")))
    write_task(tmp_path / "tasks" / "mood")
    same = write_task(tmp_path / "same")
    (same / "train.jsonl").write_text((same / "test.jsonl").read_text())
    with pytest.raises(InputError, match=r"40 texts of .*same stand in train.jsonl and in test.jsonl"):
        list(evaluate(model, EvaluationConfig(tasks=tmp_path / "tasks", unseen=(same,))))
    (tmp_path / "broken.jsonl").write_text('{"text": "a", "label": "b"}\n{"text": "a"}\n')
    with pytest.raises(InputError, match=r"broken.jsonl, line 2: .*every line needs text and label"):
        read_labelled(tmp_path / "broken.jsonl")


def test_quick_takes_small_samples_unless_told(tmp_path: Path) -> None:
    """A number that is given wins over the quick one."""
    assert EvaluationConfig.quick(tmp_path).task_tokens < EvaluationConfig(tasks=tmp_path).task_tokens
    assert EvaluationConfig.quick(tmp_path, task_tokens=77).task_tokens == 77

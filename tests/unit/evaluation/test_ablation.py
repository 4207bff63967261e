"""Taking experts out: the short way against running the whole model, shard by shard, and going on after a stop."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from moe_core.evaluation import ablation, arms
from moe_core.evaluation.ablation import AblationPlan, begin, continues, measure, save
from moe_core.evaluation.labelled import LabelledTexts
from moe_core.model.ablation_file import ABLATION, read_ablation
from moe_core.model.checkpoint import folder_sha256
from moe_core.model.encoder import pack, pool
from moe_core.model.folder import REFERENCE_FOLDER
from moe_core.model.lost_experts import available_LE
from moe_core.model.reference import RoutedModel
from moe_core.model.router import Routing

PLAN = AblationPlan(budget=0.6, shard_tokens=60, task_tokens=200)


@pytest.fixture
def ids(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Texts "0", "1", ... stand for these token ids."""
    rows = [[2, *np.random.default_rng(i).integers(4, 16, size=3 + i % 5).tolist(), 3] for i in range(40)]
    monkeypatch.setattr(arms, "tokenize", lambda model, texts, most: [rows[int(text)] for text in texts])
    return rows


@pytest.fixture
def data(model: RoutedModel) -> LabelledTexts:
    labels = model.head("mood").card.labels
    return LabelledTexts([str(i) for i in range(40)], [labels[i % 2] for i in range(40)], [""] * 40)


def last_of(model: RoutedModel, data: LabelledTexts, document: dict[str, Any]) -> dict[str, Any]:
    """The document when everything was measured."""
    return list(measure(model, {"mood": data}, PLAN, document))[-1]


@torch.inference_mode()
def slow(model: RoutedModel, ids: list[list[int]], way: str, layer: int, expert: int) -> np.ndarray:
    """Probabilities of the whole model run from the first layer, one expert taken out (-1: nobody)."""
    route = model.route(PLAN.budget)
    if way == "failover" and expert >= 0:
        route = model.route(PLAN.budget, available_LE([(layer, expert)], 2, 4))

    def without(index: int, logits_TE: torch.Tensor) -> Routing:
        routing = model.route(PLAN.budget)(index, logits_TE)
        if index == layer:
            routing.gates_TE = routing.gates_TE.clone()
            routing.gates_TE[:, expert] = 0
        return routing

    packed = pack(ids)
    chosen = without if way == "mean" and expert >= 0 else route
    return model.head("mood").probabilities(pool(model.adapted(packed, chosen)[0], packed)).numpy()


def test_the_short_way_counts_what_running_everything_counts(
    model: RoutedModel, ids: list[list[int]], data: LabelledTexts
) -> None:
    """Every expert, both ways: gained and lost agreement, and the sum of the change of probability."""
    document = last_of(model, data, begin(model, PLAN))
    (task,) = document["tasks"]
    order = [int(text) for text in data.shuffled(PLAN.seed).texts][: task["n"]]
    rows = [ids[i] for i in order]
    with torch.inference_mode():
        packed = pack(rows)
        dense = model.head("mood").probabilities(pool(model.dense(packed, None)[0], packed)).numpy().argmax(axis=1)
    whole = slow(model, rows, "mean", 0, -1)
    same = whole.argmax(axis=1) == dense
    assert task["same"] == int(same.sum())
    assert task["n_tokens"] == sum(map(len, rows)) <= PLAN.task_tokens
    for way in ablation.WAYS:
        for layer in range(2):
            for expert in range(4):
                lost = slow(model, rows, way, layer, expert)
                now = lost.argmax(axis=1) == dense
                assert task[way]["same_lost"][layer][expert] == int((same & ~now).sum())
                assert task[way]["same_gained"][layer][expert] == int((now & ~same).sum())
                moved = 100 * (lost - whole)[np.arange(len(rows)), dense]
                assert task[way]["moved_sum"][layer][expert] == pytest.approx(moved.sum(), abs=0.01)
                assert task[way]["moved_squares"][layer][expert] == pytest.approx((moved**2).sum(), abs=0.02)


def test_a_stopped_measurement_goes_on_where_it_stopped(
    model: RoutedModel, ids: list[list[int]], data: LabelledTexts, tmp_path: Path
) -> None:
    """After the first shard, through the file, to the same document as in one go."""
    whole = last_of(model, data, begin(model, PLAN))
    assert whole["tasks"][0]["shards"] > 1
    part = next(measure(model, {"mood": data}, PLAN, begin(model, PLAN)))
    save(tmp_path / ABLATION, part)
    read = read_ablation(tmp_path, model.sha256)
    assert read is not None
    assert continues(read, model, PLAN)
    assert json.dumps(last_of(model, data, read)) == json.dumps(whole)


def test_another_budget_is_not_mixed_in(model: RoutedModel) -> None:
    """Counts of two settings cannot be added."""
    assert not continues(begin(model, PLAN), model, AblationPlan(budget=0.9))


def test_the_measurement_is_no_part_of_the_models_hash(tmp_path: Path) -> None:
    """It decides no answer, and every logged run keeps its model."""
    (tmp_path / "config.json").write_text("{}")
    before = folder_sha256(tmp_path)
    (tmp_path / ABLATION).write_text('{"format": 1}')
    assert folder_sha256(tmp_path) == before


def test_the_shipped_measurement_is_of_the_shipped_model() -> None:
    """Every expert of the reference model, several tasks, and counts that fit their n."""
    document = read_ablation(REFERENCE_FOLDER, folder_sha256(REFERENCE_FOLDER))
    assert document is not None
    assert (document["n_layers"], document["n_experts"]) == (6, 16)
    assert len(document["tasks"]) >= 4
    for task in document["tasks"]:
        assert np.shape(task["load_LE"]) == (6, 16)
        assert 0 < task["right"] <= task["n"]
        for way in ablation.WAYS:
            assert (np.array(task[way]["same_lost"]) <= task["same"]).all()
            assert (np.array(task[way]["same_gained"]) <= task["n"] - task["same"]).all()


def test_a_file_of_other_weights_is_not_read(tmp_path: Path) -> None:
    """Another model's figures are nobody's figures; neither are those of a broken file."""
    (tmp_path / ABLATION).write_text('{"format": 1, "model_sha256": "b"}')
    assert read_ablation(tmp_path, "a") is None
    (tmp_path / ABLATION).write_text("{")
    assert read_ablation(tmp_path, "a") is None
    assert read_ablation(tmp_path / "nowhere", "a") is None

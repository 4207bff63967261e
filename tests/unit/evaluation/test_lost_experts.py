"""Lost experts: which are tried, that skipping early layers changes nothing, and that a harmful loss is found."""

from dataclasses import replace

import numpy as np
import torch

from moe_core.evaluation import arms
from moe_core.evaluation.labelled import LabelledTexts
from moe_core.evaluation.lost_experts import LossPlan, hidden_states, measure_lost, sets_of_lost
from moe_core.evaluation.quality import judge
from moe_core.model.encoder import pack
from moe_core.model.lost_experts import available_LE
from moe_core.model.reference import RoutedModel

PLAN = LossPlan(budget=0.6, singles=8, pairs=6, screen_tokens=200, confirm=2)


def texts(n: int) -> list[list[int]]:
    return [[2, *np.random.default_rng(i).integers(4, 16, size=5).tolist(), 3] for i in range(n)]


def test_all_single_experts_and_half_of_the_pairs_within_a_layer() -> None:
    """2 layers of 4 experts: 8 singles, 6 different pairs, 3 of them in one layer."""
    lost = sets_of_lost(2, 4, PLAN)
    pairs = [experts for experts in lost if len(experts) == 2]
    assert sorted(experts[0] for experts in lost if len(experts) == 1) == [(i, j) for i in range(2) for j in range(4)]
    assert len(set(pairs)) == 6
    assert sum(a[0] == b[0] for a, b in pairs) == 3
    assert all(a != b for a, b in pairs)
    assert lost == sets_of_lost(2, 4, PLAN)


def test_starting_at_the_lost_experts_layer_gives_the_whole_runs_numbers(model: RoutedModel) -> None:
    """Layers before it compute what they computed before."""
    packed = pack(texts(6))
    lost = model.route(0.6, available_LE([(1, 2)], 2, 4))
    with torch.inference_mode():
        states = hidden_states(model, packed, model.adapted.embeddings(packed), model.route(0.6), 0)
        short = hidden_states(model, packed, states[1], lost, 1)[-1]
        full, routings = model.adapted(packed, lost)
    torch.testing.assert_close(short, full)
    assert not routings[1].gates_TE[:, 2].any()


def test_an_expert_that_decides_the_answers_is_named_as_the_worst(model: RoutedModel) -> None:
    """One expert always runs, and its mean output points to the other label, so losing it turns the answers: it must be
    found among eight, and confirmed on texts that the screening did not see."""
    layer, expert, head, ids = 1, 3, model.head("mood"), texts(80)
    block = model.adapted.layers[layer].ffn
    with torch.no_grad():
        block.router.outer.bias[expert] += 8.0  # runs for every token, so that its mean output is never used
    whole = judge(head, arms.embed(model, ids, model.route(0.6)))[0]
    usual = head.card.labels.index(max(set(whole), key=whole.count))
    with torch.no_grad():
        block.mean_ED[expert] = 40 * (head.weight_CD[1 - usual] - head.weight_CD[usual])
    data = LabelledTexts(["t"] * 80, whole, [""] * 80)  # the whole model is right everywhere
    found = measure_lost(model, {"mood": (data, ids)}, replace(PLAN, pairs=0))
    (row,) = found["single"]
    assert row["worst"] == [f"{layer}:{expert}"]
    assert row["worst_points"] < -20
    assert row["worst_low"] <= row["worst_points"] <= row["worst_high"]
    assert row["n"] + row["n_screened"] == 80
    assert row["tried"] == 8
    assert found["pair"] == []

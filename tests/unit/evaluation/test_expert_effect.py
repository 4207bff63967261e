"""Masked experts through a model: the same answers as a run without them, and a planted carrier is found."""

import numpy as np
import pytest
import torch

from moe_core.errors import InputError
from moe_core.evaluation import arms
from moe_core.evaluation.expert_effect import EffectPlan, measure_effects
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting, TextRequest
from tests.unit.tiny_encoders import WORDS

PLAN = EffectPlan(head="mood", favourable="good", budget=0.6)


def texts(n: int) -> list[str]:
    rng = np.random.default_rng(5)
    return [" ".join(rng.choice(WORDS, size=6)) for _ in range(n)]


def test_masked_answers_are_those_of_a_run_without_the_experts(model: RoutedModel) -> None:
    """Change of gap and of score as counted from two plain runs."""
    written = texts(60)
    group = np.arange(60) % 2 == 0
    lost = ((0, 1), (1, 2))

    def favourable(unavailable: tuple[tuple[int, int], ...]) -> np.ndarray:
        session = model.session(Setting(budget=0.6, head="mood", unavailable=unavailable))
        answers = session.answer([TextRequest(text=text) for text in written])
        return np.array([answer.label == "good" for answer in answers], dtype=float)

    rows = measure_effects(model, written, [None] * 60, group, lost, PLAN).rows
    for experts in (((0, 1),), ((1, 2),), lost):
        moved = favourable(experts) - favourable(())
        row = rows[[e == experts for e in rows["experts"]]].iloc[0]
        assert row["change"] == pytest.approx(100 * (moved[group].mean() - moved[~group].mean()))
    assert set(rows["kind"]) >= {"expert", "group"}


def test_an_expert_that_carries_the_gap_is_first(model: RoutedModel) -> None:
    """The group is the half of the texts that the whole model likes best. One expert always runs, and its mean output
    points to the other label: without it nearly every answer turns, and no control moves the gap as much."""
    layer, expert, head = 1, 3, model.head("mood")
    written = texts(80)
    block = model.adapted.layers[layer].ffn
    with torch.no_grad():
        block.router.outer.bias[expert] += 8.0
    ids = arms.tokenize(model, written, 192)
    embedded = arms.embed(model, ids, model.route(0.6)).embeddings_ND
    score_N = head.probabilities(torch.from_numpy(embedded)).numpy()[:, 1]
    with torch.no_grad():
        block.mean_ED[expert] = 40 * (head.weight_CD[0] - head.weight_CD[1])
        for other in range(4):  # as busy as the carrier, so that they are its controls
            model.adapted.layers[0].ffn.router.outer.bias[other] += 8.0
    group = score_N >= np.median(score_N)
    found = measure_effects(model, written, ["good"] * 80, group, [(layer, expert)], PLAN)
    row = found.rows.iloc[0]
    assert (row["kind"], row["experts"]) == ("expert", ((layer, expert),))
    assert row["larger_controls"] == 0
    assert row["p"] == pytest.approx(1 / (1 + found.n_controls))
    assert row["quality_change"] < 0
    assert found.n_controls >= 2


@pytest.mark.parametrize(
    ("flagged", "plan", "words"),
    [
        pytest.param([], PLAN, "no expert to mask", id="nothing"),
        pytest.param([(9, 0)], PLAN, "no expert 9:0", id="unknown expert"),
        pytest.param([(0, 0)], EffectPlan(head="mood", favourable="great", budget=0.6), "no label 'great'", id="label"),
        pytest.param([(0, 0)], EffectPlan(head="none", favourable="good", budget=0.6), "no head 'none'", id="head"),
    ],
)
def test_what_the_model_does_not_have_is_refused(
    model: RoutedModel, flagged: list[tuple[int, int]], plan: EffectPlan, words: str
) -> None:
    """One sentence before anything runs."""
    with pytest.raises(InputError, match=words):
        measure_effects(model, texts(50), [None] * 50, np.arange(50) % 2 == 0, flagged, plan)

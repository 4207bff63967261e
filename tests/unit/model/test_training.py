"""Losses and controller by hand; training that learns, and that a kill does not change."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from moe_core.model import losses
from moe_core.model.calibration import measure, reference_batches
from moe_core.model.controller import BalanceConfig, BalanceController
from moe_core.model.encoder import Encoder
from moe_core.model.layer_factors import reach_sparse, tune_layer_factors
from moe_core.model.split import expert_layers, split_into_experts
from moe_core.model.text_batches import BatchConfig, TokenizedTexts, batches
from moe_core.model.training import ObjectiveConfig, TrainingConfig, draw_available, draw_thresholds, train, warm_start


def corpus(n: int = 200) -> TokenizedTexts:
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 12, n)
    ids = rng.integers(1, 50, int(lengths.sum())).astype(np.uint16)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return TokenizedTexts(ids, offsets, (np.arange(n) % 3).astype(np.int16), ("a", "b", "c"))


CONFIG = TrainingConfig(
    steps=24, router_steps=20, warm_up=2, checkpoint_every=8, learning_rate=2e-3,
    batch=BatchConfig(tokens=120, max_tokens=12, noise=0.0),
)  # fmt: skip


def test_concentration_is_one_for_equal_and_one_over_e_for_a_single_contributor() -> None:
    """(sum)^2 / sum of squares / E."""
    assert float(losses.concentration(torch.ones(3, 4))) == pytest.approx(1.0)
    assert float(losses.concentration(torch.tensor([[5.0, 0.0, 0.0, 0.0]]))) == pytest.approx(0.25)
    assert float(losses.concentration(torch.tensor([[3.0, 1.0]]))) == pytest.approx(16 / 10 / 2)


def test_imbalance_is_the_variance_of_relative_means() -> None:
    """Means 1 and 3 are 0.5 and 1.5 of the average: 0.25."""
    assert float(losses.imbalance(torch.tensor([[1.0, 3.0], [1.0, 3.0]]))) == pytest.approx(0.25)


def test_router_regression_is_zero_for_a_perfect_router() -> None:
    """Logits that are the logs of the norms cost nothing; the norms get no gradient."""
    norms = torch.tensor([[1.0, 2.0], [4.0, 0.5]], requires_grad=True)
    loss = losses.router_regression(norms.detach().log().requires_grad_(), norms)
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-10)
    torch.autograd.backward(loss)
    assert norms.grad is None


def test_embedding_distance_is_one_minus_cosine() -> None:
    """Equal embeddings 0, orthogonal ones 1."""
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert float(losses.embedding_distance(a, a)) == pytest.approx(0.0)
    assert float(losses.embedding_distance(a, a.flip(0))) == pytest.approx(1.0)


def test_a_busy_expert_gets_a_higher_threshold_and_an_idle_one_a_lower() -> None:
    """Load 1.0 against 0.25 of the tokens; offsets stay within the bound and sum to 0."""
    offsets = [torch.zeros(2)]
    controller = BalanceController(BalanceConfig(step=0.1, bound=0.3, smoothing=0.0), offsets)
    active = torch.tensor([[True, True], [True, False], [True, False], [True, False]])
    controller.update(0, active)
    assert offsets[0].tolist() == pytest.approx([0.06, -0.06])  # relative loads 1.6 and 0.4
    for _ in range(50):
        controller.update(0, active)
    assert offsets[0].tolist() == pytest.approx([0.3, -0.3])
    controller.update(0, torch.ones(4, 2, dtype=torch.bool))
    assert offsets[0].tolist() == pytest.approx([0.3, -0.3])


def test_thresholds_of_a_step_are_drawn_from_seed_and_step_alone() -> None:
    """The same step always gets the same thresholds; all lie below 1; some steps run every expert."""
    late = [draw_thresholds(CONFIG, step) for step in range(10, 200)]
    assert draw_thresholds(CONFIG, 11) == late[1]
    assert all(0 <= tau <= 0.97 for taus in late for tau in taus)
    assert 4 <= sum(taus[0] == 0 for taus in late) <= 30


def test_one_expert_is_left_however_few_there_are() -> None:
    """Two experts of which one or two are to be lost, one of which one is; of sixteen, both kinds of loss occur."""
    for n_experts, left in ((1, {1}), (2, {1}), (16, {14, 15})):
        config = TrainingConfig(n_experts=n_experts, objective=ObjectiveConfig(lost_expert=1.0))
        drawn = [draw_available(config, step, 0, torch.ones(n_experts)) for step in range(60)]
        assert {int(available_E.sum()) for available_E in drawn if available_E is not None} == left


def test_batches_are_a_function_of_seed_and_step() -> None:
    """Starting at step 5 gives what a run from the start sees at step 5."""
    texts = corpus()
    whole, later = batches(texts, CONFIG.batch, seed=1), batches(texts, CONFIG.batch, seed=1, first_step=5)
    for _ in range(5):
        next(whole)
    for _ in range(30):
        assert next(whole) == next(later)


def test_no_batch_exceeds_its_tokens_and_long_texts_keep_their_end_mark() -> None:
    """At most 120 tokens; a text of 40 tokens is cut to 12, its last token stays."""
    texts = corpus()
    for _, batch in zip(range(50), batches(texts, CONFIG.batch, seed=2), strict=False):
        assert sum(map(len, batch)) <= 120
    long = TokenizedTexts(np.arange(40, dtype=np.uint16), np.array([0, 40]), np.zeros(1, np.int16), ("a",))
    assert long.text(0, 12) == [*range(11), 39]


def run(student: Encoder, dense: Encoder, state: Path, steps: int) -> list[float]:
    reports = train(student, dense, corpus(), CONFIG, state)
    return [report.values["loss"] for _, report in zip(range(steps), reports, strict=False)]


def test_training_resumed_after_a_kill_equals_training_without_one(tiny_dense: Encoder, tmp_path: Path) -> None:
    """Stopped at step 13, resumed from the state of step 8: the losses of the rest are the same."""

    def fresh() -> Encoder:
        torch.manual_seed(0)
        return split_into_experts(tiny_dense, n_experts=4, router_hidden=8, ramp=0.2, seed=0).requires_grad_(True)

    straight = run(fresh(), tiny_dense, tmp_path / "a", 24)
    run(fresh(), tiny_dense, tmp_path / "b", 13)
    torch.manual_seed(99)
    other = split_into_experts(tiny_dense, n_experts=4, router_hidden=8, ramp=0.2, seed=0).requires_grad_(True)
    resumed = run(other, tiny_dense, tmp_path / "b", 24)
    assert resumed == pytest.approx(straight[8:], rel=1e-4)
    assert all(math.isfinite(loss) for loss in straight)


def test_the_warm_start_teaches_routers_what_experts_contribute(tiny_dense: Encoder) -> None:
    """The regression error falls to less than 0.6 of its start, and mean outputs are no longer 0."""
    torch.manual_seed(0)
    student = split_into_experts(tiny_dense, n_experts=4, router_hidden=8, ramp=0.2, seed=0)
    config = TrainingConfig(router_steps=150, batch=CONFIG.batch)
    errors = [r.values["router_regression"] for r in warm_start(student, tiny_dense, corpus(), config)]
    assert sum(errors[-10:]) < 0.6 * sum(errors[:2]) * 5
    assert float(student.layers[0].ffn.mean_ED.detach().abs().sum()) > 0


def test_the_sparse_end_is_reached_without_changing_the_dial(tiny_sparse: Encoder, tiny_dense: Encoder) -> None:
    """Thresholds far below the common one let most experts run at 0.97; raised together, one expert a token is left."""
    texts = [corpus().text(i, 12) for i in range(20)]
    for block in expert_layers(tiny_sparse):
        block.router.threshold_offset_E -= 5.0
    before = [block.router.threshold_offset_E.clone() for block in expert_layers(tiny_sparse)]
    raised = reach_sparse(tiny_sparse, tiny_dense, texts)
    assert 4.5 < raised <= 5.04
    for block, old in zip(expert_layers(tiny_sparse), before, strict=True):
        assert (block.router.threshold_offset_E - old).tolist() == pytest.approx([raised] * 4, abs=1e-4)
    _, batches_, targets = reference_batches(tiny_dense, texts)
    names = [[""] * len(packed.lengths_B) for packed in batches_]
    assert measure(tiny_sparse, batches_, targets, names, 0.97).budget == pytest.approx(0.25)
    assert reach_sparse(tiny_sparse, tiny_dense, texts) == 0.0


def test_layer_factors_never_make_the_objective_worse(tiny_sparse: Encoder, tiny_dense: Encoder) -> None:
    """Each sweep keeps only changes that buy more cosine than they cost; offsets move by the reported factors."""
    before = [block.router.threshold_offset_E.clone() for block in expert_layers(tiny_sparse)]
    texts = [corpus().text(i, 12) for i in range(40)]
    reports = list(tune_layer_factors(tiny_sparse, tiny_dense, texts, (0.5,), sweeps=1))
    objectives = [report.values["objective"] for report in reports]
    assert objectives == sorted(objectives)
    for layer, (block, old) in enumerate(zip(expert_layers(tiny_sparse), before, strict=True)):
        moved = block.router.threshold_offset_E - old
        assert moved.tolist() == pytest.approx([reports[-1].values[f"layer_{layer}"]] * 4, abs=1e-6)

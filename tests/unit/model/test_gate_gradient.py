"""The gradient that reaches routers through the gates: same output, no push to more experts."""

import pytest
import torch

from moe_core.model.gate_gradient import centred, with_gradient
from moe_core.model.router import decide


def test_gates_keep_their_values() -> None:
    """Only the backward pass changes."""
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    thresholds = torch.full((5,), 0.4)
    gates = decide(logits.detach(), thresholds, 0.5).gates_TE
    assert torch.allclose(with_gradient(gates, logits, thresholds, 0.5, 1.0), gates, atol=1e-7)


def test_the_gradient_is_centred_inside_the_window_and_zero_outside() -> None:
    """Entries 1, 2 and 6 are inside; their mean is 3."""
    gradient = torch.tensor([[1.0, 2.0], [50.0, 6.0]])
    inside = torch.tensor([[True, True], [False, True]])
    assert centred(gradient, inside).tolist() == [[-2.0, -1.0], [0.0, 3.0]]
    assert centred(gradient, torch.zeros(2, 2, dtype=torch.bool)).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_the_score_of_an_expert_that_lowers_the_loss_rises_against_one_that_raises_it() -> None:
    """Experts 1 and 2 stand in the ramp with equal scores; the loss wants more of 1 and less of 2."""
    logits = torch.tensor([[0.0, -1.0, -1.0, -9.0]], requires_grad=True)
    thresholds = torch.full((4,), 0.33)
    gates = with_gradient(decide(logits.detach(), thresholds, 0.5).gates_TE, logits, thresholds, 0.5, 0.0)
    torch.autograd.backward((gates * torch.tensor([[0.0, -1.0, 1.0, 5.0]])).sum())
    assert logits.grad is not None
    assert logits.grad[0, 1] < 0 < logits.grad[0, 2]
    assert float(logits.grad[0, 3]) == 0.0
    assert float(logits.grad[0, 1] + logits.grad[0, 2]) == pytest.approx(0.0, abs=1e-7)


def test_a_step_with_all_experts_on_teaches_the_router_nothing() -> None:
    """Thresholds of 0 have no ramp."""
    logits = torch.zeros(2, 3, requires_grad=True)
    gates = torch.ones(2, 3)
    assert with_gradient(gates, logits, torch.zeros(3), 0.2, 1.0) is gates

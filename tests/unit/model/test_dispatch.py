"""The ways to run the chosen experts: they agree, idle experts stay out, and the rule picks what costs least."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from moe_core.model import dispatch, layers, prepared
from moe_core.model.dispatch import Buffers, Plan, plan, run_plan
from moe_core.model.encoder import Encoder
from moe_core.model.layers import ExpertFeedForward
from moe_core.model.router import Routing
from moe_core.model.split import expert_layers

IDLE = 1
PLANS = {
    "gathered": Plan(gathered=(0, 2, 3)),
    "direct": Plan(slices=((0, 1), (2, 4))),
    "both": Plan(slices=((2, 3),), gathered=(0, 3)),
    "whole": Plan(whole=True),
}


def reference(block: ExpertFeedForward, x_TD: Tensor, gates_TE: Tensor) -> Tensor:
    """Every expert on every token; an idle expert is left out."""
    y_TD = block.b2_D + (1 - gates_TE) @ block.mean_ED
    for expert in range(block.n_experts):
        part = slice(expert * block.expert_width, (expert + 1) * block.expert_width)
        if bool((gates_TE[:, expert] > 0).any()):
            out_TD = F.gelu(x_TD @ block.w1_HD[part].T + block.b1_H[part]) @ block.w2_HD[part]
            y_TD = y_TD + gates_TE[:, expert : expert + 1] * out_TD
    return y_TD


def soft_gates(n_tokens: int) -> Tensor:
    """Gates of 0, between and 1; nobody chooses expert 1; the first token chooses none."""
    gates_TE = (torch.rand(n_tokens, 4, generator=torch.Generator().manual_seed(8)) * 2 - 0.6).clamp(0, 1)
    gates_TE[:, IDLE] = 0
    gates_TE[0] = 0
    return gates_TE


def routing_of(gates_TE: Tensor) -> Routing:
    ones = torch.ones_like(gates_TE)
    return Routing(ones, ones, torch.zeros(4), gates_TE, torch.zeros(len(gates_TE), dtype=torch.bool))


def run(block: ExpertFeedForward, chosen: Plan, x_TD: Tensor, gates_TE: Tensor) -> Tensor:
    weights = dispatch.expert_weights(block.w1_HD, block.b1_H, block.w2_HD, block.b2_D, block.mean_ED)
    with torch.inference_mode():
        if chosen.whole:
            return block.prepared_whole().run(x_TD, gates_TE)
        counts_E = (gates_TE > 0).sum(dim=0).tolist()
        return run_plan(weights, x_TD, gates_TE, chosen, counts_E, Buffers(x_TD))


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("n_tokens", [2, 9, 40])
def test_every_way_computes_the_same_numbers(tiny_sparse: Encoder, name: str, n_tokens: int) -> None:
    """Gathered, direct, mixed or whole: within 1e-5 of the slow loop."""
    block = expert_layers(tiny_sparse)[0]
    x_TD = torch.randn(n_tokens, 16, generator=torch.Generator().manual_seed(0))
    gates_TE = soft_gates(n_tokens)
    actual = run(block, PLANS[name], x_TD, gates_TE)
    torch.testing.assert_close(actual, reference(block, x_TD, gates_TE), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("n_tokens", [3, 200])
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1e30])
def test_damaged_weights_of_an_idle_expert_change_no_number(tiny_sparse: Encoder, n_tokens: int, poison: float) -> None:
    """Few tokens would multiply everything, but not while an idle expert is unsound."""
    block = expert_layers(tiny_sparse)[0]
    x_TD = torch.randn(n_tokens, 16, generator=torch.Generator().manual_seed(1))
    gates_TE = soft_gates(n_tokens)
    expected = reference(block, x_TD, gates_TE)
    with torch.inference_mode():
        block.forward_routed(x_TD, routing_of(gates_TE))
    for weight in (block.w1_HD, block.b1_H, block.w2_HD):
        weight[IDLE * 8 : (IDLE + 1) * 8] = poison
    with torch.inference_mode():
        actual = block.forward_routed(x_TD, routing_of(gates_TE))
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_a_long_batch_in_blocks_equals_the_whole(tiny_sparse: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the blocks are cut changes nothing."""
    block = expert_layers(tiny_sparse)[0]
    x_TD = torch.randn(101, 16, generator=torch.Generator().manual_seed(2))
    gates_TE = soft_gates(101)
    monkeypatch.setattr(layers, "BLOCK", 16)
    monkeypatch.setattr(layers, "WHOLE_BLOCK", 5)
    with torch.inference_mode():
        actual = block.forward_routed(x_TD, routing_of(gates_TE))
        dense = block(x_TD)
    torch.testing.assert_close(actual, reference(block, x_TD, gates_TE), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(dense, reference(block, x_TD, torch.ones(101, 4)), atol=1e-5, rtol=1e-5)


def test_without_onednn_the_numbers_are_the_same(tiny_sparse: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain products are the path for a PyTorch that was built without it."""
    block = expert_layers(tiny_sparse)[0]
    x_TD = torch.randn(12, 16, generator=torch.Generator().manual_seed(3))
    routing = routing_of(soft_gates(12))
    with torch.inference_mode():
        fast, fast_dense = block.forward_routed(x_TD, routing), block(x_TD)
        monkeypatch.setattr(prepared, "OPERATORS", None)
        plain, plain_dense = block.forward_routed(x_TD, routing), block(x_TD)
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(fast_dense, plain_dense, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("n_tokens", [12, 300])
def test_half_precision_stays_near(tiny_sparse: Encoder, n_tokens: int) -> None:
    """bfloat16 weights and activations go through the same code."""
    block = expert_layers(tiny_sparse)[0]
    x_TD = torch.randn(n_tokens, 16, generator=torch.Generator().manual_seed(4))
    gates_TE = soft_gates(n_tokens)
    expected = reference(block, x_TD, gates_TE)
    half = block.bfloat16()
    with torch.inference_mode():
        actual = half.forward_routed(x_TD.bfloat16(), routing_of(gates_TE))
    assert actual.dtype == torch.bfloat16
    torch.testing.assert_close(actual.float(), expected, atol=0.15, rtol=0.05)


COUNTS = st.lists(st.integers(0, 60), min_size=16, max_size=16).filter(any)


@given(counts_E=COUNTS, threads=st.sampled_from([1, 2]), whole=st.booleans())
def test_a_plan_runs_every_chosen_expert_once_and_no_idle_one(counts_E: list[int], threads: int, whole: bool) -> None:
    """Unless the whole layer is taken, which `whole` must allow."""
    chosen = plan(counts_E, 60, 96, threads=threads, whole=whole)
    if chosen.whole:
        assert whole
        assert chosen.pairs(counts_E, 60) == 16 * 60
        return
    in_slices = [expert for first, last in chosen.slices for expert in range(first, last)]
    assert sorted([*in_slices, *chosen.gathered]) == [e for e, count in enumerate(counts_E) if count]
    assert sum(counts_E) <= chosen.pairs(counts_E, 60) <= 16 * 60


def test_the_rule_follows_the_measured_costs() -> None:
    """Rare experts are gathered, those that nearly all chose are direct, neighbours merge, a full layer is whole."""
    counts_E = [2000, 2000, 100, 0, *[0] * 11, 1900]
    assert plan(counts_E, 2000, 96, threads=1, whole=False) == Plan(slices=((0, 2), (15, 16)), gathered=(2,))
    assert plan([50] * 16, 60, 96, threads=1, whole=True).whole
    assert not plan([2] * 16, 2000, 96, threads=1, whole=True).whole
    assert plan([12] * 16, 40, 96, threads=1, whole=False).gathered == tuple(range(16))
    assert plan([12] * 16, 40, 96, threads=2, whole=False) == Plan(slices=((0, 16),))  # small products do not divide


@pytest.mark.parametrize("change", [lambda w: w.mul_(2), lambda w: w[0].zero_()], ids=["all", "one row"])
def test_a_prepared_weight_is_made_again_when_it_changes(change: Callable[[Tensor], Tensor]) -> None:
    """A stale copy would answer with yesterday's model."""
    linear = prepared.PreparedLinear(16, 6)
    x_TD = torch.randn(5, 16, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        linear(x_TD)
        change(linear.weight)
        torch.testing.assert_close(linear(x_TD), F.linear(x_TD, linear.weight, linear.bias), atol=1e-5, rtol=1e-5)


def test_a_prepared_layer_has_the_names_of_a_plain_one_and_learns() -> None:
    """Checkpoints stay as they are; with gradients the plain product runs."""
    linear = prepared.PreparedLinear(8, 4)
    assert set(linear.state_dict()) == {"weight", "bias"}
    linear(torch.ones(2, 8)).sum().backward()
    assert linear.weight.grad is not None

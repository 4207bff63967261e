"""The fast expert path against a loop that does one token and one expert at a time."""

import copy

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from moe_core.model.encoder import Encoder, pack
from moe_core.model.layers import ExpertFeedForward
from moe_core.model.router import Routing, decide
from moe_core.model.split import expert_layers


def slow_reference(block: ExpertFeedForward, x_TD: torch.Tensor, gates_TE: torch.Tensor) -> torch.Tensor:
    """Mean output of every expert, replaced by its real output in proportion to its gate weight."""
    rows = []
    width = block.expert_width
    for token, x_D in enumerate(x_TD):
        y_D = block.b2_D.clone()
        for expert in range(block.n_experts):
            part = slice(expert * width, (expert + 1) * width)
            out_D = F.gelu(block.w1_HD[part] @ x_D + block.b1_H[part]) @ block.w2_HD[part]
            gate = gates_TE[token, expert]
            y_D = y_D + gate * out_D + (1 - gate) * block.mean_ED[expert]
        rows.append(y_D)
    return torch.stack(rows)


def routing_at(block: ExpertFeedForward, x_TD: torch.Tensor, tau: float) -> Routing:
    return decide(block.router(x_TD), block.router.thresholds_E(tau), 0.2)


def test_the_routed_path_computes_what_the_slow_loop_computes(tiny_sparse: Encoder) -> None:
    """Sorted by expert or one by one: the same numbers at every threshold."""
    block = expert_layers(tiny_sparse)[0]
    x_TD = torch.randn(9, 16, generator=torch.Generator().manual_seed(0))
    for tau in (0.0, 0.2, 0.5, 0.9):
        routing = routing_at(block, x_TD, tau)
        expected = slow_reference(block, x_TD, routing.gates_TE)
        torch.testing.assert_close(block.forward_routed(x_TD, routing), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(block.forward_masked(x_TD, routing.gates_TE)[0], expected, atol=1e-5, rtol=1e-5)


def test_training_norms_are_the_norms_of_the_experts_deviations(tiny_sparse: Encoder) -> None:
    """The Gram-matrix shortcut equals the norm of (output - mean) computed directly."""
    block = expert_layers(tiny_sparse)[1]
    x_TD = torch.randn(7, 16, generator=torch.Generator().manual_seed(1))
    _, norms_TE = block.forward_masked(x_TD, torch.ones(7, 4))
    hidden_TEF = F.gelu(F.linear(x_TD, block.w1_HD, block.b1_H)).view(7, 4, 8)
    outputs_TED = torch.einsum("tef,efd->ted", hidden_TEF, block.w2_HD.view(4, 8, 16))
    torch.testing.assert_close(norms_TE, (outputs_TED - block.mean_ED).norm(dim=2), atol=1e-4, rtol=1e-4)


def test_an_expert_that_no_token_chose_changes_nothing(tiny_sparse: Encoder) -> None:
    """Poison the weights of an idle expert: had it been computed and masked, NaN x 0 would be NaN."""
    block = expert_layers(tiny_sparse)[0]
    x_TD = torch.randn(6, 16, generator=torch.Generator().manual_seed(2))
    gates_TE = torch.tensor([1.0, 0.0, 1.0, 0.5]).expand(6, 4)
    routing = Routing(torch.zeros(6, 4), torch.ones(6, 4), torch.zeros(4), gates_TE, torch.zeros(6, dtype=torch.bool))
    with torch.inference_mode():
        expected = block.forward_routed(x_TD, routing)
    block.w1_HD[8:16] = float("nan")
    block.w2_HD[8:16] = float("nan")
    with torch.inference_mode():
        torch.testing.assert_close(block.forward_routed(x_TD, routing), expected, atol=1e-6, rtol=1e-6)


def test_many_tokens_multiply_what_was_routed_and_few_tokens_multiply_everything(tiny_sparse: Encoder) -> None:
    """PyTorch's own counter of executed products: pairs that ran, and the mean outputs of the experts, once a token; or
    both products of all 32 neurons and the 16 rows that hold the router and the means."""
    block = expert_layers(tiny_sparse)[0]
    per_pair = block.multiply_adds_per_expert()
    for n_tokens, everything in ((500, False), (20, True)):
        x_TD = torch.randn(n_tokens, 16, generator=torch.Generator().manual_seed(5))
        routing = routing_at(block, x_TD, 0.6)
        pairs = 4 * n_tokens if everything else int((routing.gates_TE > 0).sum())
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            block.forward_routed(x_TD, routing)
        executed = counter.get_total_flops() / 2
        if everything:
            assert executed == n_tokens * 2 * 16 * (32 + 16)
        else:  # an expert that most tokens chose runs on all of them
            executed -= n_tokens * 4 * 16
            assert pairs * per_pair <= executed < 1.2 * pairs * per_pair < n_tokens * 4 * per_pair


@pytest.mark.parametrize("n_tokens", [1, 7, 32])
def test_a_few_tokens_read_router_and_experts_in_one_product(tiny_sparse: Encoder, n_tokens: int) -> None:
    """Logits and output are those of the router and the experts asked one after the other."""
    block = expert_layers(tiny_sparse)[0]
    block.mean_ED.copy_(torch.randn(4, 16, generator=torch.Generator().manual_seed(3)))
    x_TD = torch.randn(n_tokens, 16, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        logits_TE, hidden_TX = block.read(x_TD)
        assert hidden_TX is not None
        torch.testing.assert_close(logits_TE, block.router(x_TD), atol=1e-5, rtol=1e-5)
        routing = decide(logits_TE, torch.full((4,), 0.6), 0.2)
        expected_TD, _ = block.forward_masked(x_TD, routing.gates_TE)
        torch.testing.assert_close(block.forward_routed(x_TD, routing, hidden_TX), expected_TD, atol=1e-5, rtol=1e-5)


def test_a_damaged_router_or_expert_is_seen_at_once(tiny_sparse: Encoder) -> None:
    """Prepared copies are made again when a weight changes: of the router, the experts and the means."""
    block = expert_layers(tiny_sparse)[0]
    x_TD = torch.randn(5, 16, generator=torch.Generator().manual_seed(4))

    def both() -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            logits_TE, hidden_TX = block.read(x_TD)
            return logits_TE, block.forward_routed(x_TD, decide(logits_TE, torch.full((4,), 0.6), 0.2), hidden_TX)

    both()
    for weight in (block.router.inner.weight, block.router.outer.bias, block.w1_HD, block.w2_HD, block.mean_ED):
        weight.mul_(1.5).add_(0.01)
        logits_TE, y_TD = both()
        routing = decide(block.router(x_TD), torch.full((4,), 0.6), 0.2)
        torch.testing.assert_close(logits_TE, routing.logits_TE, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(y_TD, block.forward_masked(x_TD, routing.gates_TE)[0], atol=1e-5, rtol=1e-5)


def test_a_short_text_always_runs_on_the_weights_that_the_encoder_holds_now(tiny_sparse: Encoder) -> None:
    """Written in place, replaced by other tensors, swapped by a change of type and back, or copied and then changed."""
    packed, thresholds_E = pack([[1, 2, 3, 4, 5]]), torch.full((4,), 0.6)

    def answer(encoder: Encoder) -> Tensor:
        with torch.inference_mode():
            return encoder(packed, lambda _, logits_TE: decide(logits_TE, thresholds_E, 0.2))[0]

    def afresh(encoder: Encoder) -> Tensor:
        fresh = Encoder(encoder.config).eval()
        fresh.load_state_dict(encoder.state_dict())
        return answer(fresh)

    before = answer(tiny_sparse)
    tiny_sparse.layers[1].ffn.router.outer.bias.detach().add_(torch.tensor([2.0, 0.0, 0.0, 0.0]))
    written = answer(tiny_sparse)
    assert not torch.equal(written, before)
    assert torch.equal(written, afresh(tiny_sparse))

    twin = copy.deepcopy(tiny_sparse)
    tiny_sparse.load_state_dict({k: v * 1.1 for k, v in tiny_sparse.state_dict().items()}, assign=True)
    assert torch.equal(answer(tiny_sparse), afresh(tiny_sparse))
    assert torch.equal(answer(twin), written)

    twin.layers[0].ffn.w1_HD = torch.nn.Parameter(twin.layers[0].ffn.w1_HD.detach() * 0.5)
    assert torch.equal(answer(twin), afresh(twin))
    assert not torch.equal(answer(twin), written)
    twin.layers[1].ffn = copy.deepcopy(twin.layers[0].ffn)
    assert torch.equal(answer(twin), afresh(twin))
    tiny_sparse.double()
    tiny_sparse.float()
    assert torch.equal(answer(tiny_sparse), afresh(tiny_sparse))


def test_all_experts_on_is_the_dense_block(tiny_dense: Encoder, tiny_sparse: Encoder) -> None:
    """After the split the means cancel: the encoder's output is that of the dense original."""
    packed = pack([[1, 2, 3], [4, 5, 6, 7, 8], [9]])
    thresholds = torch.zeros(4)
    routed, routings = tiny_sparse(packed, lambda _, logits_TE: decide(logits_TE, thresholds, 0.2))
    torch.testing.assert_close(routed, tiny_dense(packed)[0], atol=1e-5, rtol=1e-5)
    assert all(bool((routing.gates_TE == 1).all()) for routing in routings)

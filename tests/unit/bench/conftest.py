"""Tiny encoders with random weights, and a workload of random tokens."""

import pytest
import torch

from moe_core.model.encoder import Encoder, EncoderConfig
from moe_core.model.split import expert_layers, split_into_experts


@pytest.fixture
def tiny_dense() -> Encoder:
    """2 layers, D = 16, 32 neurons, vocabulary 50."""
    torch.manual_seed(3)
    config = EncoderConfig(vocab_size=50, n_positions=64, d_model=16, n_layers=2, n_heads=4, d_hidden=32, n_experts=0)
    encoder = config.build()
    for parameter in encoder.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return encoder.eval().requires_grad_(False)


@pytest.fixture
def tiny_sparse(tiny_dense: Encoder) -> Encoder:
    """The same with 4 experts of 8 neurons."""
    torch.manual_seed(4)
    encoder = split_into_experts(tiny_dense, n_experts=4, router_hidden=8, ramp=0.2, seed=0)
    for block in expert_layers(encoder):
        torch.nn.init.normal_(block.router.outer.weight, std=1.0)
    return encoder.eval().requires_grad_(False)

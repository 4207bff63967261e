"""Tiny encoders with random weights, and a workload of random tokens."""

import pytest
import torch

from moe_core.model.encoder import Encoder
from tests.unit.tiny_encoders import dense_encoder, sparse_encoder


@pytest.fixture
def tiny_dense() -> Encoder:
    """2 layers, D = 16, 32 neurons, vocabulary 50."""
    torch.manual_seed(3)
    return dense_encoder(n_positions=64)


@pytest.fixture
def tiny_sparse(tiny_dense: Encoder) -> Encoder:
    """The same with 4 experts of 8 neurons."""
    torch.manual_seed(4)
    return sparse_encoder(tiny_dense, with_means=False)

"""The split of the real base encoder into experts."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_core.model.base import installed_base, load_base
from moe_core.model.encoder import pack, pool
from moe_core.model.router import decide
from moe_core.model.split import balanced_clusters, split_into_experts

IDS = [[101, 1996, 20463, 2196, 3369, 1998, 6343, 6998, 1012, 102], [101, 2489, 4443, 102], [101, 2748, 102]]


def test_right_after_the_split_all_experts_on_equal_the_base_model() -> None:
    """Every embedding within 1e-5 of the base weights' own, with the routed path and the merged one."""
    dense = load_base(installed_base())
    sparse = split_into_experts(dense, n_experts=16, router_hidden=32, ramp=0.2, seed=0).eval()
    packed = pack(IDS)
    thresholds = torch.zeros(16)
    with torch.inference_mode():
        expected = pool(dense(packed)[0], packed)
        routed = pool(sparse(packed, lambda _, z: decide(z, thresholds, 0.2))[0], packed)
        merged = pool(sparse(packed)[0], packed)
    assert float((routed - expected).abs().max()) <= 1e-5
    assert float((merged - expected).abs().max()) <= 1e-5
    assert float((1 - (routed * expected).sum(dim=1)).max()) <= 1e-6


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.integers(1, 7), st.integers(0, 50))
def test_clusters_always_have_the_same_size(n_clusters: int, size: int, seed: int) -> None:
    """Balanced means balanced, for any data."""
    rows = torch.randn(n_clusters * size, 5, generator=torch.Generator().manual_seed(seed))
    cluster = balanced_clusters(rows, n_clusters, seed=seed)
    assert torch.bincount(cluster, minlength=n_clusters).tolist() == [size] * n_clusters


def test_neurons_of_one_direction_end_up_in_one_expert() -> None:
    """Two clearly separate bundles of directions become two clusters."""
    noise = 0.05 * torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    rows = noise.clone()
    rows[:10, 0] += 1.0
    rows[10:, 3] += 1.0
    cluster = balanced_clusters(rows, 2, seed=1)
    assert len(set(cluster[:10].tolist())) == 1
    assert len(set(cluster[10:].tolist())) == 1

"""Shares, removals and the smallest change of a linear router, against the plain formulas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_core.explain.linear_router import LinearRouter


def a_router(
    seed: int, *, centred: bool, offsets: bool, top_k: int = 2, width: int = 24, n_experts: int = 6
) -> LinearRouter:
    rng = np.random.default_rng(seed)
    return LinearRouter(
        weight_ED=rng.normal(size=(n_experts, width)), bias_E=rng.normal(size=n_experts) * offsets * 0.3,
        gamma_D=rng.uniform(0.5, 1.5, width), beta_D=rng.normal(size=width) * offsets * 0.2, eps=1e-6,
        centred=centred, top_k=top_k,
    )  # fmt: skip


def plainly(router: LinearRouter, x_D: np.ndarray) -> np.ndarray:
    """The logits as a model computes them."""
    p_D = x_D - x_D.mean() if router.centred else x_D
    y_D = router.gamma_D * p_D / np.sqrt((p_D**2).mean() + router.eps) + router.beta_D
    return router.weight_ED @ y_D + router.bias_E


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.booleans())
def test_shares_sum_to_the_logits_and_removals_are_what_the_router_says_without_the_part(
    seed: int, centred: bool, offsets: bool
) -> None:
    """Exact to rounding, for LayerNorm and RMSNorm, with and without offsets."""
    router = a_router(seed, centred=centred, offsets=offsets)
    parts_CD = np.random.default_rng(seed + 1).normal(size=(9, 24))
    logits_E = plainly(router, parts_CD.sum(axis=0))
    np.testing.assert_allclose(router.shares_CE(parts_CD).sum(axis=0) + router.offset_E, logits_E, atol=1e-11)
    for c, without_E in enumerate(router.logits_without_CE(parts_CD)):
        np.testing.assert_allclose(without_E, plainly(router, np.delete(parts_CD, c, axis=0).sum(axis=0)), atol=1e-9)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.booleans(), st.integers(0, 5), st.integers(1, 5))
def test_the_smallest_change_turns_the_choice_just_beyond_its_length_and_no_random_direction_is_shorter(
    seed: int, centred: bool, offsets: bool, expert: int, top_k: int
) -> None:
    """Turns at 1.001 x, not at .999 x."""
    router = a_router(seed, centred=centred, offsets=offsets, top_k=top_k)
    rng = np.random.default_rng(seed + 2)
    x_D = rng.normal(size=24) * 3

    def runs(x: np.ndarray) -> bool:
        return expert in np.argsort(-plainly(router, x), kind="stable")[:top_k]

    change_D = router.smallest_change(x_D, expert)
    if change_D is None:
        return
    before = runs(x_D)
    assert runs(x_D + 1.001 * change_D) != before
    assert runs(x_D + 0.999 * change_D) == before
    length = np.linalg.norm(change_D)
    for _ in range(200):
        direction = rng.normal(size=24)
        assert runs(x_D + 0.999 * length * direction / np.linalg.norm(direction)) == before


def test_the_margin_is_the_logit_minus_the_kth_largest_of_the_others() -> None:
    """Logits 5 4 3 1, two chosen: the first two against the third, the others against the second."""
    router = a_router(1, centred=False, offsets=False, top_k=2, n_experts=4)
    np.testing.assert_allclose(router.margins(np.array([5.0, 4.0, 3.0, 1.0])), [2.0, 1.0, -1.0, -3.0])
    assert [router.rival(np.array([5.0, 4.0, 3.0, 1.0]), e) for e in range(4)] == [2, 2, 1, 1]


@pytest.mark.parametrize("centred", [False, True])
def test_where_all_experts_are_chosen_nothing_turns_the_choice(centred: bool) -> None:
    """k = E: every margin is infinite, and there is no smallest change."""
    router = a_router(3, centred=centred, offsets=True, top_k=6)
    assert np.isinf(router.margins(router.logits(np.ones(24) + np.arange(24)))).all()
    assert router.smallest_change(np.arange(24.0), 1) is None
    assert router.smallest_set_change(np.arange(24.0)) is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.booleans(), st.integers(1, 5))
def test_the_smallest_change_of_the_set_swaps_one_expert_for_another(
    seed: int, centred: bool, offsets: bool, top_k: int
) -> None:
    """The set is the same at .999 x, one left and one came at 1.001 x, and no random direction is shorter."""
    router = a_router(seed, centred=centred, offsets=offsets, top_k=top_k)
    rng = np.random.default_rng(seed + 4)
    x_D = rng.normal(size=24) * 3

    def chosen(x: np.ndarray) -> set[int]:
        return set(np.argsort(-plainly(router, x), kind="stable")[:top_k].tolist())

    found = router.smallest_set_change(x_D)
    assert found is not None
    change_D, leaves, enters = found
    assert chosen(x_D + 0.999 * change_D) == chosen(x_D)
    assert chosen(x_D + 1.001 * change_D) == (chosen(x_D) - {leaves}) | {enters}
    for _ in range(200):
        direction = rng.normal(size=24)
        step = 0.999 * np.linalg.norm(change_D) * direction / np.linalg.norm(direction)
        assert chosen(x_D + step) == chosen(x_D)

"""The rules in float64 choose whom the model's own rules choose."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from moe_core.explain.flips import nearest
from moe_core.explain.rules import ThresholdRule, TopKRule, requirement_values
from moe_core.model.router import decide, decide_top_k


def drawn(seed: int) -> tuple[np.random.Generator, torch.Tensor, np.ndarray]:
    """Logits of 5 tokens and 6 experts, and which experts are left (two at least)."""
    rng = np.random.default_rng(seed)
    available_E = rng.random(6) < 0.8
    available_E[:2] = True
    return rng, torch.from_numpy(rng.normal(size=(5, 6)).astype(np.float32)), available_E


@given(st.integers(0, 10_000), st.floats(0.05, 1.4))
def test_the_threshold_rule_is_the_models(seed: int, tau: float) -> None:
    """Also with thresholds above 1, where only the floor runs, and with lost experts."""
    rng, logits_NE, available_E = drawn(seed)
    thresholds_E = torch.from_numpy((tau * np.exp(rng.normal(0, 0.3, 6))).astype(np.float32))
    gates_NE = decide(logits_NE, thresholds_E, 0.05, torch.from_numpy(available_E)).gates_TE
    rule = ThresholdRule(thresholds_E.double().numpy(), available_E)
    assert np.array_equal(rule.compare(logits_NE.double().numpy()).runs_NE, (gates_NE > 0).numpy())


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_the_top_k_rule_is_the_models(seed: int, k: int) -> None:
    """With lost experts, the next ones in order."""
    _, logits_NE, available_E = drawn(seed)
    k = min(k, int(available_E.sum()) - 1)
    gates_NE = decide_top_k(logits_NE, k, torch.from_numpy(available_E)).gates_TE
    rule = TopKRule(k, available_E)
    assert np.array_equal(rule.compare(logits_NE.double().numpy()).runs_NE, (gates_NE > 0).numpy())


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_a_set_of_requirements_turns_the_decision(seed: int, k: int) -> None:
    """Just beyond the nearest point where all of a set hold, the expert decides otherwise."""
    _, logits_NE, available_E = drawn(seed)
    rule = TopKRule(min(k, int(available_E.sum()) - 1), available_E)
    logits_E = logits_NE[0].double().numpy()
    runs_E = rule.compare(logits_E[None]).runs_NE[0]
    for expert in np.flatnonzero(available_E):
        for turning in rule.turns(logits_E, int(expert), runs=bool(runs_E[expert])):
            normals = np.stack([np.eye(6)[a] - np.eye(6)[b] for a, b, _ in turning])
            change_E = nearest(normals, 1e-6 - requirement_values(logits_E, turning))
            assert change_E is not None
            assert rule.compare((logits_E + change_E)[None]).runs_NE[0, expert] != runs_E[expert]


def test_a_lost_expert_has_no_boundary() -> None:
    """Nothing that reaches the router can make it run."""
    available_E = np.array([True, True, False])
    rule = ThresholdRule(np.array([0.1, 0.1, 0.1]), available_E)
    assert rule.turns(np.array([0.0, 0.5, 0.4]), 2, runs=False) == []


def test_the_nearest_point_of_two_half_planes_is_their_corner() -> None:
    """x >= 1 and y >= 2: (1, 2); one alone: along its normal; where none is needed: nowhere."""
    assert np.allclose(nearest(np.eye(2), np.array([1.0, 2.0])), [1, 2])
    assert np.allclose(nearest(np.array([[2.0, 0.0]]), np.array([1.0])), [0.5, 0])
    assert np.allclose(nearest(np.eye(2), np.array([-1.0, -2.0])), [0, 0])

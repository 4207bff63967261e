"""The dial: interpolation by hand, and refusals."""

import json
import math
from pathlib import Path

import pytest
import torch

from moe_core.errors import CheckpointError, InputError
from moe_core.model.calibration import Calibration, DialPoint, calibrate, calibration_document, load_calibration
from moe_core.model.encoder import Encoder, pack
from moe_core.model.router import decide
from moe_core.model.split import expert_layers


def point(tau: float, budget: float) -> DialPoint:
    return DialPoint(tau, budget, 0.9, 0.8, 10, 100, [budget], {})


TABLE = Calibration((point(0.9, 0.1), point(0.5, 0.3), point(0.1, 0.7), point(0.0, 1.0)))


def test_a_budget_between_two_measured_points_is_interpolated() -> None:
    """Halfway between .3 (tau .5) and .7 (tau .1) lies tau .3; measured points are met exactly."""
    assert TABLE.tau(0.5) == pytest.approx(0.3)
    assert TABLE.tau(0.3) == pytest.approx(0.5)
    assert TABLE.tau(0.1) == pytest.approx(0.9)
    assert TABLE.tau(1.0) == 0.0


@pytest.mark.parametrize("budget", [0, -0.1, 1.0001, 2, math.nan, math.inf, "0.5"])
def test_a_budget_that_is_no_share_is_refused(budget: float) -> None:
    """0, 2, NaN and text are errors, never a silent default."""
    with pytest.raises(InputError, match="out of range"):
        TABLE.tau(budget)


def test_a_budget_below_the_measured_range_is_refused() -> None:
    """Nobody measured 5 %: no answer is better than a guess."""
    with pytest.raises(InputError, match=r"below 0\.100"):
        TABLE.tau(0.05)


def test_calibration_measures_what_really_runs(tiny_sparse: Encoder, tiny_dense: Encoder) -> None:
    """Each point's budget is the mean over texts of the counted share of (token, layer, expert) pairs that ran."""
    texts = [[1, 2, 3], [4, 5, 6, 7], [8, 9], [10, 11, 12, 13, 14]]
    dial = calibrate(tiny_sparse, tiny_dense, texts, ["a", "a", "b", "b"])
    assert dial.points[-1].budget == 1.0
    assert dial.points[-1].tau == 0.0
    assert [p.budget for p in dial.points] == sorted(p.budget for p in dial.points)
    middle = dial.points[len(dial.points) // 2]
    blocks = expert_layers(tiny_sparse)
    shares = []
    for ids in texts:
        _, routings = tiny_sparse(pack([ids]), lambda i, z: decide(z, blocks[i].router.thresholds_E(middle.tau), 0.2))
        shares.append(sum(float((r.gates_TE > 0).float().mean()) for r in routings) / len(routings))
    assert middle.budget == pytest.approx(sum(shares) / len(shares))
    assert middle.n_tokens == 14
    assert set(middle.by_domain) == {"a", "b"}


def test_a_table_out_of_order_is_refused(tmp_path: Path) -> None:
    """A dial that does not rise cannot be asked."""
    path = tmp_path / "calibration.json"
    document = calibration_document(TABLE, heldout="x")
    path.write_text(json.dumps(document))
    assert load_calibration(path) == TABLE
    document["points"].reverse()
    path.write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match="rising table"):
        load_calibration(path)


def test_thresholds_carry_the_experts_learned_factors(tiny_sparse: Encoder) -> None:
    """tau x exp(offset): an offset of ln 2 doubles the threshold."""
    router = expert_layers(tiny_sparse)[0].router
    router.threshold_offset_E.copy_(torch.tensor([0.0, math.log(2), 0.0, -math.log(2)]))
    torch.testing.assert_close(router.thresholds_E(0.3), torch.tensor([0.3, 0.6, 0.3, 0.15]))

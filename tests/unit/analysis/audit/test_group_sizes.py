"""Small groups neither hide what large ones show nor raise alarms of their own."""

from dataclasses import replace

import numpy as np
import pytest

from moe_core.analysis.audit import null as null_of_audit
from moe_core.analysis.audit import value_tests
from moe_core.analysis.audit.columns import value_columns
from moe_core.analysis.audit.contrasts import Contrast, contrasts_of
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.statistics import TIE, Statistics
from tests.unit.analysis.audit.group_sizes import (
    QUICK,
    SIZES,
    found_in_outcomes,
    found_in_routing,
    one_class,
    unequal,
)

EVERY = replace(QUICK, min_group=5)
SAME, DIFFERENT = (0.15,) * 5, (0.15, 0.30, 0.15, 0.15, 0.15)


@pytest.mark.parametrize(
    ("sizes", "given", "least"),
    [
        ([240, 160, 25, 15, 5], None, 20), ([60, 19, 19], None, 5), ([60, 3], None, 5), ([20, 20], None, 20),
        ([240, 160, 25, 15, 5], 5, 5), ([240, 160, 25], 30, 30),
    ],
)  # fmt: skip
def test_who_is_tested_depends_on_sizes_only(sizes: list[int], given: int | None, least: int) -> None:
    """20 documents where two groups have as many, else 5; a number that is given holds."""
    assert AuditSettings(min_group=given).smallest_tested(np.array(sizes)) == least


def test_contrasts_of_like_sizes_share_a_class() -> None:
    """By the smaller side: 5, 15 and 25 documents are three classes, 60 and 160 one, 240 against 105 the same."""
    names = tuple("abcdef")
    made = contrasts_of(np.array([240, 160, 60, 25, 15, 5]), names, None)
    assert [contrast.size_class for contrast in made] == [4, 3, 3, 2, 1, 0]
    assert [c.size_class for c in contrasts_of(np.array([2000, 7]), ("a", "b"), None)] == [0]
    assert [c.size_class for c in contrasts_of(np.array([12, 70, 9]), tuple("abc"), "a")] == [1, 0]


def test_a_clear_difference_of_large_groups_is_found_beside_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outcomes .15 and .30 in 240 and 160 documents, groups of 25, 15 and 5 beside them, 40 logs: found in most by
    default and even with every group tested; with one maximum for all sizes, hardly ever."""
    by_default = sum(found_in_outcomes(run, DIFFERENT, QUICK, SIZES) for run in range(40))
    with_all = sum(found_in_outcomes(run, DIFFERENT, EVERY, SIZES) for run in range(40))
    monkeypatch.setattr(value_tests, "contrasts_of", lambda *given: one_class(contrasts_of(*given)))
    together = sum(found_in_outcomes(run, DIFFERENT, EVERY, SIZES) for run in range(40))
    assert by_default >= 28
    assert with_all >= 24
    assert together <= 12


def test_a_planted_expert_of_a_large_group_is_found_beside_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for routing, 20 logs."""
    by_default = sum(found_in_routing(run, 0.35, QUICK, SIZES)[1] for run in range(20))
    with_all = sum(found_in_routing(run, 0.35, EVERY, SIZES)[1] for run in range(20))
    monkeypatch.setattr(null_of_audit, "contrasts_of", lambda *given: one_class(contrasts_of(*given)))
    together = sum(found_in_routing(run, 0.35, EVERY, SIZES)[1] for run in range(20))
    assert min(by_default, with_all) >= 14
    assert together <= min(by_default, with_all) - 4


@pytest.mark.parametrize("settings", [QUICK, EVERY], ids=["default", "every group"])
def test_groups_of_all_sizes_raise_few_alarms(settings: AuditSettings) -> None:
    """60 logs without a difference: at most 9 with anything significant (99.9 % limit of 5 %)."""
    assert sum(found_in_outcomes(run, SAME, settings, SIZES) for run in range(60)) <= 9
    assert sum(found_in_routing(run, 0.0, settings, SIZES)[0] for run in range(60)) <= 9


@pytest.mark.slow
@pytest.mark.parametrize("settings", [QUICK, EVERY], ids=["default", "every group"])
@pytest.mark.parametrize("sizes", [SIZES, (100, 12, 11, 7, 6), (400, 60, 55, 52, 50)], ids=str)
def test_error_rates_of_unequal_groups(sizes: tuple[int, ...], settings: AuditSettings) -> None:
    """400 logs without a difference: outcomes and routing within the 99.9 % band of 5 % (7 to 37), outcomes of a rare
    kind at most at its upper end (few different values make ties, so that fewer are found)."""
    assert 7 <= sum(found_in_routing(run, 0.0, settings, sizes)[0] for run in range(400)) <= 37
    assert sum(found_in_outcomes(run, SAME, settings, sizes) for run in range(400)) <= 37
    assert 5 <= sum(found_in_outcomes(run, (0.5,) * 5, settings, sizes) for run in range(400)) <= 37


@pytest.mark.parametrize("last", [True, False], ids=["small group last", "small group first"])
def test_labellings_that_are_equally_extreme_have_the_same_t(last: bool) -> None:
    """Outcomes of 0 and 1: t depends only on how many of a group are 1. Rounding that differs between labellings would
    break such ties, and a group of five would raise alarms (once: in 11 % of logs)."""
    rng = np.random.default_rng(2)
    sizes = (240, 160, 5) if last else (5, 160, 240)
    counts = unequal(rng, sizes, 0.0)
    outcome_D = (rng.random(405) < 0.15).astype(float)
    labels_BD = np.stack([rng.permutation(counts.group_D) for _ in range(300)]).astype(np.int8)
    five = 2 if last else 0
    statistics = Statistics(value_columns([outcome_D], counts), (Contrast(five, None),), 3)
    t_B = statistics.summarise([labels_BD], jsd=False).max_t_BQ[:, 0]
    alone_B = np.array([abs(statistics.t(row_D)[0, 0]) for row_D in labels_BD])
    k_B = ((labels_BD == five) * outcome_D).sum(axis=1).astype(int)
    for k in np.unique(k_B):
        of_k = np.concatenate([t_B[k_B == k], alone_B[k_B == k]])
        assert np.ptp(of_k) <= 0.2 * TIE * of_k.max(), k

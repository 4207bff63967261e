"""Error rates on simulated logs: false positives, power, coverage. The slow tests reproduce the measured tables."""

import numpy as np
import pytest

from tests.unit.analysis.audit.simulate import NULL_ROWS, POWER, coverage, rejected, runs

LOWEST, HIGHEST = 2, 21  # rejections in 200 runs at 5 %: 99.9 % limits


@pytest.mark.parametrize(("icc", "documents"), [(0.02, 10), (0.091, 40)])
def test_labels_that_mean_nothing_are_found_as_rarely_as_promised(icc: float, documents: int) -> None:
    """200 logs without a difference: layers, cells and all together reject at 5 %; tokens taken as the unit do not."""
    found = runs(200, documents, permutations=199, icc=icc, token_tests=True)
    for name in ("layer", "layers", "cells", "joint"):
        assert LOWEST <= 200 * rejected(found, name) <= HIGHEST, name
    assert rejected(found, "naive") > 0.9


def test_a_large_difference_is_found_and_a_small_one_in_few_documents_is_not() -> None:
    """12 points in 40 documents always, 2.3 points in 40 documents rarely."""
    assert rejected(runs(20, 40, permutations=199, delta=0.8), "cells") == 1.0
    assert rejected(runs(30, 40, permutations=199, delta=0.2), "cells") < 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("icc", "documents", "tokens"), NULL_ROWS)
def test_false_positive_table(icc: float, documents: int, tokens: int) -> None:
    """400 logs each: every test within the 99.9 % band of 5 % (7 to 37 rejections); naive tests cry wolf when tokens of
    a document resemble each other."""
    found = runs(400, documents, permutations=199, tokens=tokens, icc=icc, token_tests=True)
    for name in ("layer", "layers", "cells", "joint"):
        assert 7 <= 400 * rejected(found, name) <= 37, name
    assert (rejected(found, "naive") > 0.7) == (icc > 0)
    deff = float(np.mean([one.deff for one in found]))
    assert deff == pytest.approx({0.0: 1, 0.005: 3.5, 0.02: 11, 0.091: 49}[icc] * tokens / 200, rel=0.35)
    plain, by_tokens, by_documents = np.nanmean([one.cramers_v for one in found], axis=0)
    assert max(by_documents, by_tokens) < plain
    if icc > 0:
        assert by_documents < 0.5 * by_tokens


@pytest.mark.slow
@pytest.mark.parametrize("documents", POWER)
def test_power_table(documents: int) -> None:
    """80 logs each, within three standard errors of both simulations of what was measured first; and testing layers
    and cells together costs little power."""
    for delta, (layer, cell) in zip((0.2, 0.4, 0.8), POWER[documents], strict=True):
        found = runs(80, documents, permutations=299, delta=delta)
        for name, expected in (("layer", layer), ("cells", cell)):
            middle = min(max(expected, 0.03), 0.97)
            error = np.sqrt(2 * middle * (1 - middle) / 80)
            assert abs(rejected(found, name) - expected) < 3 * error + 0.02, (delta, name, rejected(found, name))
        assert rejected(found, "joint") > max(rejected(found, "cells"), rejected(found, "layers")) - 0.12


@pytest.mark.slow
@pytest.mark.parametrize(("documents", "bootstrap"), [(20, False), (60, False), (200, False), (100, True), (200, True)])
def test_coverage(documents: int, bootstrap: bool) -> None:
    """500 intervals of a difference that is 0: 93 to 97 % hold it."""
    assert 0.93 <= coverage(500, documents, bootstrap) <= 0.97


@pytest.mark.slow
def test_all_together_hold_five_per_cent_in_many_runs() -> None:
    """2,000 logs: the rate of the verdict lies within 3.5 to 6.5 %."""
    found = [one for part in range(5) for one in runs(400, 40 + part, permutations=199)]
    assert 0.035 <= rejected(found, "joint") <= 0.065

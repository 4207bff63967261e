"""Design effect, ICC and Cramér's V."""

import numpy as np
import pytest
from scipy import stats

from moe_core.analysis.audit.counts import RoutingCounts
from moe_core.analysis.audit.effect_size import clustering, cramers_v, design_effect
from tests.unit.analysis.audit.generator import make_counts


def test_design_effect_by_hand() -> None:
    """Two documents of 10 choices, 10:0 and 0:10: v = 2 (25 + 25) / 400 = 1/4 for each expert, over p = 1/2 that makes
    1 in all; independent: 2 (1/2) / 20 = 1/20. 20 times as much."""
    assert design_effect([np.array([[10.0, 0.0], [0.0, 10.0]])]) == pytest.approx(20.0)


def test_the_icc_of_a_log_is_found() -> None:
    """Many documents with a known likeness: .02 and .091; deff = 1 + (M - 1) icc by construction."""
    for icc in (0.02, 0.091):
        inside = clustering(make_counts(np.random.default_rng(0), 600, icc=icc), 1, 100)
        assert inside.icc == pytest.approx(icc, rel=0.2)
        assert inside.n_eff == pytest.approx(inside.choices / inside.deff)
        assert inside.rao_scott_p is not None


def test_cramers_v_is_that_of_scipy_and_its_correction_that_of_bergsma() -> None:
    """2 x 2 by hand: phi^2 = .04, corrected with n = 100: (.04 - 1/99) / (1 - 1/99)."""
    table = np.array([[30.0, 20.0], [20.0, 30.0]])
    assert cramers_v(table, None) == pytest.approx(stats.contingency.association(table.astype(int)))
    assert cramers_v(table, None) == pytest.approx(0.2)
    assert cramers_v(table, 100.0) == pytest.approx(np.sqrt((0.04 - 1 / 99) / (1 - 1 / 99)))
    assert cramers_v(np.array([[25.0, 25.0], [25.0, 25.0]]), 100.0) == 0.0


def test_few_documents_get_no_token_test() -> None:
    """Rao-Scott is given from 100 documents on; one choice a layer says nothing about likeness."""
    assert clustering(make_counts(np.random.default_rng(0), 40), 0, 100).rao_scott_p is None
    one = RoutingCounts(
        counts_DLE=np.eye(2, dtype=np.int32)[:, None], tokens_DL=np.ones((2, 1), np.int32), group_D=np.array([0, 1]),
        groups=("a", "b"),
    )  # fmt: skip
    assert np.isnan(clustering(one, 0, 100).icc)

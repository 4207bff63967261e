"""Lifts, their intervals and tests, against hand-made numbers and a slow reference that sees every document."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from moe_core.analysis.specialization.lifts import lifts, t_quantile
from moe_core.analysis.specialization.ratio_sums import RatioSums
from moe_core.analysis.specialization.settings import SpecializationSettings

ALL = SpecializationSettings(least_documents=2, least_tokens=1, least_runs=0, least_effective=0.0)


def sums_of(c_D: np.ndarray, n_D: np.ndarray, all_c_D: np.ndarray, all_n_D: np.ndarray, *, whole: bool) -> RatioSums:
    """One feature, one layer, one expert."""
    def wide(x: float) -> np.ndarray:
        return np.array([[[float(x)]]])

    def flat(x: float) -> np.ndarray:
        return np.array([[float(x)]])

    return RatioSums(
        c=wide(c_D.sum()), cc=wide((c_D**2).sum()), cn=wide((c_D * n_D).sum()), c_total=wide((c_D * all_c_D).sum()),
        c_tokens=wide((c_D * all_n_D).sum()), n_total=wide((n_D * all_c_D).sum()), ran_documents=wide((c_D > 0).sum()),
        n_FL=flat(n_D.sum()), nn_FL=flat((n_D**2).sum()), n_tokens_FL=flat((n_D * all_n_D).sum()),
        documents_FL=flat((n_D > 0).sum()), total_c_LE=flat(all_c_D.sum()), total_cc_LE=flat((all_c_D**2).sum()),
        total_cn_LE=flat((all_c_D * all_n_D).sum()), total_n_L=np.array([float(all_n_D.sum())]),
        total_nn_L=np.array([float((all_n_D**2).sum())]), total_documents_L=np.array([float((all_n_D > 0).sum())]),
        whole=whole,
    )  # fmt: skip


def test_a_lift_counted_by_hand() -> None:
    """An expert runs for 30 of 60 tokens with the feature and for 40 of 160 tokens in all: 0.5 / 0.25 = 2."""
    c, n = np.array([10, 12, 8]), np.array([20, 20, 20])
    all_c, all_n = np.array([13, 14, 13]), np.array([50, 60, 50])
    found = lifts(sums_of(c, n, all_c, all_n, whole=False), ALL)
    assert found.lift.item() == pytest.approx(2.0)
    assert found.low.item() < 2.0 < found.high.item()


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10), st.integers(0, 20), st.integers(0, 10)), min_size=4,
             max_size=20)
)  # fmt: skip
def test_the_variance_is_that_of_the_documents_themselves(rows: list[tuple[int, int, int, int]]) -> None:
    """From nine sums the same comes out as from the linearised contribution of every single document."""
    n = np.array([a + 1 for a, _, _, _ in rows])
    c = np.array([min(a, b) for a, b, _, _ in rows])
    rest_n = np.array([a + 1 for _, _, a, _ in rows])
    rest_c = np.array([min(a, b) for _, _, a, b in rows])
    all_c, all_n = c + rest_c, n + rest_n
    if not c.sum() or c.sum() == n.sum():
        return
    found = lifts(sums_of(c, n, all_c, all_n, whole=False), ALL)
    m = len(rows)
    z = c / c.sum() - n / n.sum() - all_c / all_c.sum() + all_n / all_n.sum()
    spread = np.sqrt(m / (m - 1) * (z**2).sum())
    if not found.tested.item():
        return
    freedom = np.array(max(found.effective.item() - 1, 1.0))
    expected = np.exp(t_quantile(freedom) * spread)
    assert found.high.item() / found.lift.item() == pytest.approx(float(expected), rel=1e-5)
    p = all_c.sum() / all_n.sum()
    own = c.sum() / n.sum()
    weight = n.sum() / all_n.sum()
    as_found = m / (m - 1) * (((c - own * n) - weight * (all_c - p * all_n)) ** 2).sum()
    under_null = m / (m - 1) * (((c - p * n) - weight * (all_c - p * all_n)) ** 2).sum()
    variance = as_found if own > p else max(as_found, under_null)
    t = (c.sum() - p * n.sum()) / np.sqrt(variance)
    assert found.t.item() == pytest.approx(t, rel=1e-5, abs=1e-7)


def test_the_variance_under_permuted_labels_is_that_of_many_permutations() -> None:
    """A feature of whole documents: the closed form agrees with 20,000 ways to deal the label to the documents."""
    rng = np.random.default_rng(0)
    all_n = rng.integers(5, 60, 40)
    all_c = rng.binomial(all_n, rng.beta(2, 6, 40))
    off = all_c - all_c.sum() / all_n.sum() * all_n
    label = np.zeros(40, bool)
    label[:12] = True
    drawn = np.array([off[rng.permutation(label)].sum() for _ in range(20_000)])
    formula = 12 * 28 / (40 * 39) * (off**2).sum()
    assert drawn.var() == pytest.approx(formula, rel=0.05)
    c, n = np.where(label, all_c, 0), np.where(label, all_n, 0)
    found = lifts(sums_of(c, n, all_c, all_n, whole=True), ALL)
    expected = all_c.sum() / all_n.sum() * n.sum()
    assert found.chance_high.item() >= 1 + 1.96 * np.sqrt(formula) / expected


def test_one_document_is_no_evidence() -> None:
    """All runs in one document of twelve: worth one document, whatever its size, so nothing is tested."""
    n = np.full(12, 50)
    c = np.array([50] + [0] * 11)
    settings = SpecializationSettings(least_documents=5)
    assert not lifts(sums_of(c, n, c, 2 * n, whole=False), settings).tested.any()


def test_quantiles_are_those_of_student() -> None:
    """Interpolated within a thousandth."""
    for freedom in (1.0, 1.37, 4.2, 9.0, 33.3, 500.0, 1e5):
        assert float(t_quantile(np.array(freedom))) == pytest.approx(float(special.stdtrit(freedom, 0.975)), rel=1e-3)

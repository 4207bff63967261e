"""Matrix products of labels and shares against plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_core.analysis.audit import labellings
from moe_core.analysis.audit.columns import activation_columns, share_columns, strata_factors
from moe_core.analysis.audit.contrasts import Contrast
from moe_core.analysis.audit.counts import RoutingCounts
from moe_core.analysis.audit.statistics import Exceedances, Statistics
from tests.unit.analysis.audit.generator import make_counts
from tests.unit.analysis.audit.reference import jsd_bits, shares_of, welch_t


def three_groups(seed: int = 1) -> RoutingCounts:
    rng = np.random.default_rng(seed)
    counts = make_counts(rng, 45, delta=0.5)
    return RoutingCounts(
        counts_DLE=counts.counts_DLE, tokens_DL=counts.tokens_DL, group_D=np.arange(45) % 3, groups=("a", "b", "c")
    )


def test_t_and_divergence_are_those_of_plain_loops() -> None:
    """Welch's t of a group against all others and against one other, and the divergence of three means."""
    counts = three_groups()
    share = shares_of(counts)
    contrasts = [Contrast(0, None), Contrast(1, None), Contrast(2, 0)]
    columns = share_columns(counts, 5)
    statistics = Statistics(columns, contrasts, 3)
    t_KC = statistics.t(counts.group_D)
    for k, contrast in enumerate(contrasts):
        for c, (row, expert) in enumerate(zip(columns.row_C, columns.expert_C, strict=True)):
            values = share[:, columns.layers[row], expert]
            against = counts.group_D != contrast.group
            if contrast.reference is not None:
                against = counts.group_D == contrast.reference
            expected = welch_t(values[counts.group_D == contrast.group], values[against])
            assert t_KC[k, c] == pytest.approx(expected, rel=1e-3, abs=1e-4)
    summary = statistics.summarise([counts.group_D[None].astype(np.int8)])
    for layer in range(4):
        expected = jsd_bits([share[counts.group_D == g, layer].mean(axis=0) for g in range(3)])
        assert summary.jsd_BL[0, layer] == pytest.approx(expected, rel=1e-4)
    assert summary.max_t_BQL[0].max() == pytest.approx(np.abs(t_KC).max(), rel=1e-5)


@given(seed=st.integers(0, 1000))
def test_groups_of_the_same_documents_have_no_divergence(seed: int) -> None:
    """Every document twice, once in each group: t and divergence are 0."""
    once = make_counts(np.random.default_rng(seed), 10, tokens=20)
    counts = RoutingCounts(
        counts_DLE=np.concatenate([once.counts_DLE] * 2), tokens_DL=np.concatenate([once.tokens_DL] * 2),
        group_D=np.repeat([0, 1], 10), groups=("a", "b"),
    )  # fmt: skip
    statistics = Statistics(share_columns(counts, 5), [Contrast(1, 0)], 2)
    summary = statistics.summarise([counts.group_D[None].astype(np.int8)])
    assert summary.jsd_BL.max() < 1e-10
    assert summary.max_t_BQL.max() < 1e-3


@given(seed=st.integers(0, 1000))
def test_the_order_of_documents_does_not_matter(seed: int) -> None:
    """A permutation of documents with their labels leaves every statistic as it is."""
    rng = np.random.default_rng(seed)
    counts = make_counts(rng, 20, tokens=30, delta=0.5)
    order = rng.permutation(20)
    mixed = RoutingCounts(
        counts_DLE=counts.counts_DLE[order], tokens_DL=counts.tokens_DL[order], group_D=counts.group_D[order],
        groups=counts.groups,
    )  # fmt: skip
    one, other = (
        Statistics(share_columns(c, 5), [Contrast(1, 0)], 2).summarise([c.group_D[None].astype(np.int8)])
        for c in (counts, mixed)
    )
    assert one.jsd_BL == pytest.approx(other.jsd_BL, rel=1e-3, abs=1e-9)
    assert one.max_t_BQL == pytest.approx(other.max_t_BQL, rel=1e-3, abs=1e-3)


def test_a_layer_that_some_documents_skip_is_averaged_over_the_others() -> None:
    """Documents without choices in a layer are not documents with a share of 0."""
    counts = three_groups()
    counts.counts_DLE[:12, 2] = 0
    share = shares_of(counts)
    has = counts.counts_DLE[:, 2].sum(axis=1) > 0
    columns = share_columns(counts, 5)
    statistics = Statistics(columns, [Contrast(0, None)], 3)
    at = np.flatnonzero((columns.row_C == 2) & (columns.expert_C == 3))[0]
    inside, against = (has & (counts.group_D == 0)), (has & (counts.group_D != 0))
    assert statistics.t(counts.group_D)[0, at] == pytest.approx(
        welch_t(share[inside, 2, 3], share[against, 2, 3]), rel=1e-3
    )
    deviation_GC, n_GC = statistics.deviation(counts.group_D)
    assert columns.mean_C[at] + deviation_GC[0, at] == pytest.approx(share[inside, 2, 3].mean(), rel=1e-5)
    assert n_GC[0, at] == inside.sum()


def test_a_cell_of_few_documents_is_not_tested() -> None:
    """Used by 4 documents: out; by 5: in. A share that never varies is out too."""
    counts_DLE = np.zeros((12, 2, 3), np.int32)
    counts_DLE[:, :, 0] = 10
    counts_DLE[:4, 0, 1] = 3
    counts_DLE[:5, 0, 2] = 3
    counts_DLE[:, 1, 1] = 10
    counts = RoutingCounts(
        counts_DLE=counts_DLE, tokens_DL=np.full((12, 2), 10, np.int32), group_D=np.arange(12) % 2, groups=("a", "b")
    )
    columns = share_columns(counts, 5)
    tested = {(columns.layers[r], int(e)): bool(t)
              for r, e, t in zip(columns.row_C, columns.expert_C, columns.tested_C, strict=True)}  # fmt: skip
    assert tested == {(0, 0): True, (0, 1): False, (0, 2): True, (1, 0): False, (1, 1): False}


def test_activation_divides_by_tokens_and_adds_the_mean_number_of_experts() -> None:
    """Two tokens, three experts run in all: rates 1 and .5, mean 1.5."""
    counts = RoutingCounts(
        counts_DLE=np.array([[[2, 1]], [[1, 1]]], np.int32), tokens_DL=np.array([[2], [2]], np.int32),
        group_D=np.array([0, 1]), groups=("a", "b"),
    )  # fmt: skip
    columns = activation_columns(counts, 1)
    assert list(columns.expert_C) == [0, 1, -1]
    assert columns.value_DC.tolist() == [[1.0, 0.5, 1.5], [0.5, 0.5, 1.0]]


def test_centring_within_strata_keeps_a_known_share_of_the_difference() -> None:
    """One stratum with 1 of 4 documents in group 0, one with 3 of 4: 1.5 of 2 survives, the factor is 4/3."""
    factor_G = strata_factors(np.array([0, 1, 1, 1, 0, 0, 0, 1]), np.repeat([5, 9], 4), 2)
    assert factor_G == pytest.approx([4 / 3, 4 / 3])
    assert strata_factors(np.array([0, 1]), None, 2).tolist() == [1.0, 1.0]


def test_exceedances_count_like_a_loop() -> None:
    """Every permuted abs(t) that reaches an observed one, ties included."""
    given_t = np.array([1.0, 3.0, 2.0])
    counting = Exceedances(given_t)
    counting.add(np.array([[0.5, 1.0, 2.5]], np.float32))
    counting.add(np.array([[9.0, 2.0, 0.0]], np.float32))
    assert counting.count.tolist() == [4, 1, 3]
    assert counting.n == 6


@pytest.mark.parametrize("stratum_D", [None, np.arange(30) % 3])
def test_labellings_keep_the_labels_of_every_stratum(stratum_D: np.ndarray | None) -> None:
    """Permuted and shuffled alike: each stratum has as many of each label as before; and no two blocks are alike."""
    group_D = np.random.default_rng(0).integers(0, 3, 30)
    made = [
        np.concatenate(list(labellings.permuted(group_D, stratum_D, 40, [1]))),
        np.concatenate(list(labellings.shuffled(group_D, stratum_D, None, 40, [1]))),
    ]
    for labels_BD in made:
        assert labels_BD.shape == (40, 30)
        assert len(np.unique(labels_BD, axis=0)) > 35
        for s in (0, 1, 2):
            inside = np.ones(30, bool) if stratum_D is None else stratum_D == s
            for row_D in labels_BD:
                assert sorted(row_D[inside]) == sorted(group_D[inside])


def test_every_place_gets_every_label_equally_often() -> None:
    """No document is favoured by either way of dealing labels."""
    group_D = np.repeat([0, 1], [15, 5])
    for labels in (
        labellings.permuted(group_D, None, 4000, [2]),
        labellings.shuffled(group_D, None, None, 4000, [2]),
    ):
        share_D = np.concatenate(list(labels)).mean(axis=0)
        assert np.abs(share_D - 0.25).max() < 4.5 * np.sqrt(0.25 * 0.75 / 4000)


def test_documents_of_one_unit_keep_one_label() -> None:
    """Shuffled by author: six authors of five documents."""
    unit_D = np.repeat(np.arange(6), 5)
    labels_BD = np.concatenate(list(labellings.shuffled(unit_D % 2, None, unit_D, 50, [3])))
    assert (labels_BD.reshape(50, 6, 5) == labels_BD.reshape(50, 6, 5)[:, :, :1]).all()
    assert (labels_BD.mean(axis=1) == 0.5).all()

"""Strata: quartiles, neighbours, what is dropped; and what they are for."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from moe_core.analysis.audit.counts import RoutingCounts
from moe_core.analysis.audit.routing import audit_routing
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.strata import strata
from moe_core.errors import AuditError
from tests.unit.analysis.audit.generator import BASE_LE


def test_numbers_are_cut_into_quartiles() -> None:
    """0 to 39: four strata of ten documents, named by their bounds."""
    found = strata({"length": pd.Series(np.arange(40))}, np.arange(40) % 2, 2, 2)
    assert np.bincount(found.stratum_D).tolist() == [10, 10, 10, 10]
    assert found.names[0] == "up to 9.75"
    assert (found.merged, found.dropped_share) == (0, 0.0)


def test_a_weak_quartile_is_merged_with_its_neighbour() -> None:
    """The longest documents are all of group 0: they join the third quartile."""
    group_D = np.where(np.arange(40) >= 30, 0, np.arange(40) % 2)
    found = strata({"length": pd.Series(np.arange(40))}, group_D, 2, 2)
    assert np.bincount(found.stratum_D).tolist() == [10, 10, 20]
    assert found.merged == 1
    assert found.names[2] == "19.5 to 29.25 ... above 29.25"


def test_a_topic_of_one_group_is_dropped_and_never_merged() -> None:
    """Merging topics would compare law with chat."""
    topic = pd.Series(["law"] * 10 + ["chat"] * 10 + ["both"] * 20)
    group_D = np.array([0] * 10 + [1] * 10 + [0, 1] * 10)
    found = strata({"domain": topic}, group_D, 2, 2)
    assert found.dropped_share == 0.5
    assert found.names == ("both",)
    assert (found.stratum_D[:20] == -1).all()


def test_two_columns_cross_and_few_numbers_stay_as_they_are() -> None:
    """Topic x year (3 different numbers): six strata; an unknown value is a stratum of its own."""
    topic, year = pd.Series(["x", "y"] * 60), pd.Series(np.repeat([1, 2, 3], 40).astype(float))
    found = strata({"domain": topic, "year": year}, np.arange(120) // 2 % 2, 2, 2)
    assert len(found.names) == 6
    year[:8] = np.nan
    assert "x, not known" in strata({"domain": topic, "year": year}, np.arange(120) // 2 % 2, 2, 2).names


def test_groups_that_never_meet_are_refused() -> None:
    """One clear sentence."""
    with pytest.raises(AuditError, match="do not overlap"):
        strata({"domain": pd.Series(["x", "y"] * 10)}, np.arange(20) % 2, 2, 2)


def confounded(rng: np.random.Generator, overlap: float, delta: float = 0.0) -> RoutingCounts:
    """100 documents of two topics; the topic moves expert 1 of layer 0 and is `overlap` more frequent in group 1."""
    group_D = np.arange(100) % 2
    topic_D = (rng.random(100) < 0.5 + overlap * (group_D - 0.5)).astype(np.int64)
    n_D = np.maximum(5, 2 * (200 * rng.lognormal(-0.18, 0.6, 100)).astype(np.int64))
    counts_DLE = np.zeros((100, 4, 8), np.int32)
    for d in range(100):
        odds_LE = BASE_LE.copy()
        odds_LE[0, 1] *= np.exp(0.8 * topic_D[d])
        odds_LE[1, 0] *= np.exp(delta * group_D[d])
        for layer in range(4):
            own_E = rng.dirichlet(50 * odds_LE[layer] / odds_LE[layer].sum())
            counts_DLE[d, layer] = rng.multinomial(n_D[d], own_E)
    tokens_DL = np.repeat(n_D[:, None] // 2, 4, axis=1).astype(np.int32)
    return RoutingCounts(
        counts_DLE=counts_DLE, tokens_DL=tokens_DL, group_D=group_D, groups=("a", "b"), stratum_D=topic_D
    )


def test_a_topic_explains_a_difference_that_is_none_of_the_group() -> None:
    """16 logs whose topics overlap with the groups: without strata most are found different, within topics hardly one;
    a difference of the group itself is still found there."""
    quick = AuditSettings(permutations=199)
    plain = within = real = 0
    for run in range(16):
        counts = confounded(np.random.default_rng([4, run]), 0.5)
        plain += bool(audit_routing(replace(counts, stratum_D=None), quick)[0].flagged)
        within += bool(audit_routing(counts, quick)[0].flagged)
        real += bool(audit_routing(confounded(np.random.default_rng([5, run]), 0.5, 0.8), quick)[0].flagged)
    assert plain >= 11
    assert within <= 4
    assert real >= 14

"""The self tests: a sound audit passes, an unsound one is stamped."""

from dataclasses import replace

import numpy as np
import pytest

from moe_core.analysis.audit import labellings
from moe_core.analysis.audit.controls import p_of_labellings, self_tests, shuffled_labels
from moe_core.analysis.audit.counts import RoutingCounts
from moe_core.analysis.audit.null import Families, Null
from moe_core.analysis.audit.plant import shifted
from moe_core.analysis.audit.settings import AuditSettings
from tests.unit.analysis.audit.generator import BASE_LE, make_counts
from tests.unit.analysis.audit.simulate import examine

SETTINGS = AuditSettings(permutations=499)


def null_of(counts: RoutingCounts, settings: AuditSettings = SETTINGS) -> Null:
    return Null.of(Families.of(counts, settings), settings)


def clustered(rng: np.random.Generator, authors: int, each: int) -> RoutingCounts:
    """Documents of one author share their probabilities: no difference between groups, but documents that are alike."""
    own = [np.array([rng.dirichlet(20 * mean_E) for mean_E in BASE_LE]) for _ in range(authors)]
    unit_D = np.repeat(np.arange(authors), each)
    counts_DLE = np.array([[rng.multinomial(200, p_E) for p_E in own[u]] for u in unit_D], np.int32)
    return RoutingCounts(
        counts_DLE=counts_DLE, tokens_DL=np.full((len(unit_D), 4), 100, np.int32), group_D=unit_D % 2,
        groups=("a", "b"), unit_D=unit_D, unit="author",
    )  # fmt: skip


@pytest.mark.parametrize("delta", [0.0, 0.8])
def test_a_sound_audit_passes_with_and_without_a_difference(delta: float) -> None:
    """60 documents: both controls pass in 10 of 10 logs, whatever the groups are like."""
    for run in range(10):
        tests = self_tests(null_of(make_counts(np.random.default_rng([run, 1]), 60, delta=delta)), SETTINGS)
        assert tests.passed
        assert tests.positive.found


def test_a_wrong_unit_is_exposed() -> None:
    """Ten documents per author: shuffled by author, far more than 17 of 200 runs find a difference; and with the author
    as the unit all is well."""
    counts = clustered(np.random.default_rng(0), 24, 10)
    tests = self_tests(null_of(counts), SETTINGS)
    assert tests.negative.found > 60
    assert (tests.negative.runs, tests.negative.unit, tests.negative.units) == (2, "author", 24)
    assert not tests.passed
    by_author = RoutingCounts(
        counts_DLE=counts.counts_DLE.reshape(24, 10, 4, 8).sum(axis=1, dtype=np.int32),
        tokens_DL=counts.tokens_DL.reshape(24, 10, 4).sum(axis=1, dtype=np.int32),
        group_D=counts.group_D[::10], groups=counts.groups,
    )  # fmt: skip
    assert self_tests(null_of(by_author), SETTINGS).negative.passed


def test_few_documents_and_a_missed_plant_mean_underpowered() -> None:
    """Five short documents a group: the plant is missed, the audit stays valid and says that it sees little."""
    missed = [
        tests for run in range(6)
        if not (tests := self_tests(null_of(make_counts(np.random.default_rng([run, 2]), 10, tokens=20)), SETTINGS))
        .positive.found
    ]  # fmt: skip
    assert missed
    assert all(tests.positive.underpowered and tests.positive.passed for tests in missed)
    surely = replace(missed[0].positive, smallest_group=20, power=0.999)
    assert not surely.passed
    assert replace(surely, power=0.5).underpowered


def test_the_plant_is_found_by_its_own_strength() -> None:
    """A real difference in the planted cell, in the other direction, does not hide the plant: labels are shuffled."""
    counts = make_counts(np.random.default_rng(3), 100, delta=-3.0)
    assert self_tests(null_of(counts), SETTINGS).positive.found
    assert shifted(np.array([0.5, 0.0, 1.0]), np.log(3)) == pytest.approx([0.75, 0.0, 1.0])


def test_permutations_that_do_not_mix_are_exposed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the engine: half of the documents keep their labels in every permutation. Then the null is too
    narrow, and the control, which deals labels in its own way, finds too much."""
    def lazy(group_D, stratum_D, n, seed):  # type: ignore[no-untyped-def]
        fixed = np.arange(len(group_D)) < 0.8 * len(group_D)
        return original(group_D, np.where(fixed, -1 - np.arange(len(group_D)), 0), n, seed)

    original = labellings.permuted
    monkeypatch.setattr(labellings, "permuted", lazy)
    counts = make_counts(np.random.default_rng(4), 100)
    assert not self_tests(null_of(counts), SETTINGS).negative.passed


def test_token_counts_as_the_unit_would_be_exposed() -> None:
    """Every token a document of its own, 20 to a text: the control that knows the text finds too much."""
    rng = np.random.default_rng(5)
    texts = make_counts(rng, 60, tokens=20, icc=0.091)
    rows = np.repeat(np.arange(60), 20)
    share = texts.counts_DLE / texts.counts_DLE.sum(axis=2, keepdims=True)
    counts_DLE = np.array([[rng.multinomial(4, p_E) for p_E in share[d]] for d in rows], np.int32)
    tokens = RoutingCounts(
        counts_DLE=counts_DLE, tokens_DL=np.full((1200, 4), 2, np.int32), group_D=texts.group_D[rows],
        groups=texts.groups, unit_D=rows, unit="text",
    )  # fmt: skip
    assert not self_tests(null_of(tokens), SETTINGS).negative.passed


def test_shared_permutations_give_the_p_of_fresh_ones() -> None:
    """The control compares 200 shuffles with one set of permutations. An audit of each shuffle with permutations of its
    own says the same, up to the chance of 499 permutations."""
    counts = make_counts(np.random.default_rng(6), 40)
    null = null_of(counts)
    labels_ZD = shuffled_labels(counts, SETTINGS)
    _, p_layers, p_cells = p_of_labellings(null, labels_ZD)
    for z in range(0, 200, 20):
        own = examine(replace(counts, group_D=labels_ZD[z].astype(np.int64)), 499, 1000 + z)
        for shared, fresh in ((p_layers[z], own.layers), (p_cells[z], own.cells)):
            error = np.sqrt(2 * max(fresh * (1 - fresh), 0.01) / 499)
            assert abs(shared - fresh) < 4 * error


def test_sound_audits_rarely_fail_their_own_control() -> None:
    """60 logs without a difference: at most 3 are stamped after the one repetition (expected: fewer than 1)."""
    quick = AuditSettings(permutations=499)
    failed = sum(
        not self_tests(null_of(make_counts(np.random.default_rng([run, 3]), 24), replace(quick, seed=run)),
                       replace(quick, seed=run)).negative.passed
        for run in range(60)
    )  # fmt: skip
    assert failed <= 3


def test_units_that_do_not_matter_are_no_fault() -> None:
    """Thirty authors with 1 to 60 independent documents each, 40 logs: group sizes change with every shuffle, and few
    large authors make counts vary; at most 5 are stamped."""
    failed = 0
    for run in range(40):
        rng = np.random.default_rng([21, run])
        unit_D = np.repeat(np.arange(30), np.minimum(rng.zipf(1.6, 30), 60))
        group_D = (rng.permutation(30) % 2)[unit_D]
        if np.bincount(group_D, minlength=2).min() < 5:
            continue
        settings = replace(SETTINGS, seed=run)
        counts = replace(make_counts(rng, len(unit_D)), group_D=group_D, unit_D=unit_D, unit="author")
        failed += not self_tests(null_of(counts, settings), settings).negative.passed
    assert failed <= 5

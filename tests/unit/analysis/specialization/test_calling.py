"""Nothing is called where there is nothing, and planted specialists are found and named."""

import numpy as np
import pytest

from moe_core.analysis.specialization.report import Specialization, domain_rows, specialization
from moe_core.analysis.specialization.word_classes import Vocabulary
from tests.unit.analysis.specialization.simulate import PIECES, World, rollups_of, sample_of

NULL_WORLDS = [
    pytest.param(World(), id="plain"),
    pytest.param(World(icc_leaning=0.0), id="independent tokens"),
    pytest.param(World(icc_leaning=1.5, documents=100), id="documents with strong leanings"),
    pytest.param(World(icc_leaning=1.0, length_sigma=1.5, documents=150), id="very unequal lengths"),
    pytest.param(World(top_k=2, n_experts=8, icc_leaning=1.0), id="top 2 of 8"),
]


def find(world: World, seed: int, *, words: bool = True) -> Specialization:
    sample = sample_of(world, seed)
    experts, layers = rollups_of(sample)
    return specialization(
        run_id="run", n_layers=world.n_layers, n_experts=world.n_experts, experts=experts, layers=layers,
        sample=sample, words=Vocabulary.of(PIECES) if words else None,
    )  # fmt: skip


@pytest.mark.parametrize("world", NULL_WORLDS)
def test_without_specialists_nothing_is_called(world: World) -> None:
    """12 runs in which neither domain nor word has anything to do with the routing: no call in any of them, though
    hundreds of cells are tested in each."""
    found = [find(world, seed) for seed in range(12)]
    assert sum(each.n_called > 0 for each in found) == 0
    assert min(each.n_tested for each in found) > 50


@pytest.mark.slow
@pytest.mark.parametrize("world", NULL_WORLDS)
def test_in_200_runs_without_specialists_at_most_one_in_twenty_has_a_call(world: World) -> None:
    """The promise of the page; measured far below it."""
    assert sum(find(world, seed).n_called > 0 for seed in range(1000, 1200)) <= 10


def test_routing_shuffled_between_documents_has_no_domain_specialist() -> None:
    """A run with a planted domain specialist, its domains dealt to other documents: nothing of it is left in 20 of 20
    shuffles."""
    world = World(domain_expert=(0, 2), documents=300)
    sample = sample_of(world, 5)
    rng = np.random.default_rng(0)
    for _ in range(20):
        names = np.array(sample.domains, object)[rng.permutation(sample.n_documents)]
        shuffled = type(sample)(**{name: getattr(sample, name) for name in sample.__slots__} | {"domains": names})
        experts, layers = rollups_of(shuffled)
        found = specialization(
            run_id="run", n_layers=2, n_experts=6, experts=experts, layers=layers, sample=shuffled, words=None
        )
        assert found.domains is not None
        assert not found.domains.called.any()


@pytest.mark.parametrize("world", [
    pytest.param(World(digit_expert=(1, 4), documents=400), id="threshold router"),
    pytest.param(World(digit_expert=(1, 4), documents=400, top_k=2, n_experts=16), id="top 2 of 16"),
])  # fmt: skip
def test_an_expert_that_fires_for_digits_is_named_so(world: World) -> None:
    """Its name says numbers, with a lift and n; the interval of the second half holds 1 for no called cell."""
    found = find(world, 1)
    assert found.names[1, 4].msgid.startswith("runs for")
    assert found.names[1, 4].text().startswith("runs for numbers: ")
    called = found.called
    assert ((called["held_low"] > 1) | (called["held_high"] < 1)).all()
    numbers = called[(called["kind"] == "class") & (called["value"] == "number") & (called["expert_id"] == 4)]
    assert float(numbers["low"].iloc[0]) > 1.5


def test_an_expert_that_fires_for_a_domain_is_named_so() -> None:
    """Also where only token numbers are known, not words."""
    found = find(World(domain_expert=(0, 2), documents=400), 2, words=False)
    assert found.names[0, 2].text().startswith("runs for texts of “rare”: ")
    assert found.specialists == {(0, 2)}
    assert found.finding.text().startswith("1 of 12 experts specialises: 0:2 runs for texts of “rare”: ")
    assert found.vocabulary_reason is not None
    assert not {"class", "piece"} & {kind for kind, _ in found.vocabulary.features}  # type: ignore[union-attr]


def test_a_few_documents_are_too_few_to_tell() -> None:
    """8 documents: no test, no call, and a sentence that says so."""
    found = find(World(documents=8, digit_expert=(0, 1)), 0)
    assert (found.n_tested, found.n_called) == (0, 0)
    assert "Too few documents" in found.finding.text()
    assert found.domains_reason is not None
    assert "at least 10" in found.domains_reason.text()


def test_without_domains_and_without_tokens_the_rest_is_still_told() -> None:
    """One domain for all requests: the reason is given. No token id: positions are compared."""
    found = find(World(domains=("law",)), 0)
    assert "one domain" in found.domains_reason.text()  # type: ignore[union-attr]
    sample = sample_of(World(), 0)
    unknown = type(sample)(
        **{name: getattr(sample, name) for name in sample.__slots__}
        | {"token_id_T": np.full(sample.n_tokens, -1), "domains": (None,) * sample.n_documents}
    )
    experts, layers = rollups_of(unknown)
    found = specialization(
        run_id="run", n_layers=2, n_experts=6, experts=experts, layers=layers, sample=unknown, words=None
    )
    assert found.domains is None
    assert {kind for kind, _ in found.vocabulary.features} == {"position", "decile"}  # type: ignore[union-attr]
    assert domain_rows(found).empty


def test_when_all_experts_run_more_often_none_is_a_specialist() -> None:
    """Numbers run every expert of a layer three times as often: their lifts stand out, and none is called."""
    sample = sample_of(World(icc_leaning=0.2, documents=300), 3)
    rng = np.random.default_rng(0)
    number = sample.token_id_T < 5
    ran = rng.random((sample.n_tokens, 2, 6)) < np.where(number, 0.6, 0.2)[:, None, None]
    token, layer, expert = np.nonzero(ran)
    changed = type(sample)(
        **{name: getattr(sample, name) for name in sample.__slots__}
        | {"token_S": token, "layer_S": layer, "expert_S": expert}
    )
    experts, layers = rollups_of(changed)
    found = specialization(
        run_id="run", n_layers=2, n_experts=6, experts=experts, layers=layers, sample=changed,
        words=Vocabulary.of(PIECES),
    )  # fmt: skip
    vocabulary = found.vocabulary
    assert vocabulary is not None
    row = vocabulary.features.index(("class", "number"))
    assert (vocabulary.both.low[row] > 2).all()
    assert not vocabulary.called[row].any()

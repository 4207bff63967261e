"""Clusters: as many as were made, none in one cloud, tokens told by their experts; pairs of experts by hand."""

import numpy as np
import pandas as pd
import pytest

from moe_core.analysis.specialization.expert_clusters import expert_clusters
from moe_core.analysis.specialization.partners import partner_lifts, with_intervals
from moe_core.analysis.specialization.projection import project
from moe_core.analysis.specialization.report import specialization
from moe_core.analysis.specialization.saturation import read_saturation, saturated_by
from moe_core.analysis.specialization.stability import cluster
from moe_core.analysis.specialization.token_clusters import (
    characteristic_experts,
    common_features,
    token_clusters,
    typical_requests,
)
from moe_core.analysis.specialization.word_classes import Vocabulary
from tests.unit.analysis.specialization.simulate import PIECES, World, rollups_of, sample_of


def shaken(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return points + rng.normal(0, 0.3, points.shape)


def test_three_groups_are_three_clusters() -> None:
    """Far apart: their number, and every point in its own."""
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], [50, 30, 20])
    points = rng.normal(0, 0.4, (100, 4)) + np.array([[0, 0, 0, 0], [6, 0, 0, 0], [0, 6, 0, 0]])[group]
    found = cluster(points, shaken, seed=0)
    assert found.n_clusters == 3
    assert found.label.tolist() == group.tolist()  # numbered by size
    assert set(found.curve["n_clusters"]) == set(range(2, 9))


@pytest.mark.parametrize("stretch", [1.0, 5.0], ids=["round", "elongated"])
def test_one_cloud_has_no_clusters(stretch: float) -> None:
    """An elongated cloud is cut in two the same way every time, which is not enough."""
    points = np.random.default_rng(1).normal(0, 1, (150, 4)) * np.array([stretch, 1, 1, 1])
    found = cluster(points, shaken, seed=0)
    assert not found.stable
    assert set(found.label) == {0}


def test_points_without_spread_or_too_few_have_no_clusters() -> None:
    """No error either."""
    assert not cluster(np.zeros((50, 3)), shaken, seed=0).stable
    assert not cluster(np.random.default_rng(0).normal(size=(6, 3)), shaken, seed=0).stable


def test_tokens_that_run_other_experts_are_a_cluster_of_their_own() -> None:
    """What is no word runs experts 3 to 5 of both layers, words 0 to 2: two clusters, named by what they hold."""
    sample = sample_of(World(documents=80), 0)
    number = sample.token_id_T < 8
    rng = np.random.default_rng(0)
    chance = np.where(number[:, None], [0.05] * 3 + [0.95] * 3, [0.95] * 3 + [0.05] * 3)
    token, layer, expert = np.nonzero(rng.random((sample.n_tokens, 2, 6)) < chance[:, None, :])
    sample = type(sample)(
        **{name: getattr(sample, name) for name in sample.__slots__}
        | {"token_S": token, "layer_S": layer, "expert_S": expert}
    )
    found = token_clusters(sample, seed=0)
    assert found is not None
    assert found.clustering.n_clusters == 2
    assert ((found.label_T == 1) == number).mean() > 0.97
    experts, layers = rollups_of(sample)
    report = specialization(
        run_id="r", n_layers=2, n_experts=6, experts=experts, layers=layers, sample=sample, words=Vocabulary.of(PIECES)
    )
    first = common_features(found.label_T, 1, report.tokens).iloc[0]
    assert first[["kind", "value"]].tolist() == ["class", "punctuation"]
    assert set(characteristic_experts(sample, found.label_T, 1)["expert_id"]) == {3, 4, 5}
    texts = typical_requests(sample, (found.label_T == 1).astype(float))
    assert len(texts) == 3


def test_experts_are_clustered_by_what_they_run_for() -> None:
    """Half of 24 experts run more often for numbers, half for commas: two clusters, with that in their profile."""
    world = World(documents=300, n_layers=2, n_experts=12, icc_leaning=0.2)
    sample = sample_of(world, 0)
    rng = np.random.default_rng(0)
    kind = np.where(sample.token_id_T < 5, 0, np.where(sample.token_id_T < 8, 1, 2))
    table = np.array([[0.8] * 6 + [0.1] * 6, [0.1] * 6 + [0.8] * 6, [0.3] * 12])
    token, layer, expert = np.nonzero(rng.random((sample.n_tokens, 2, 12)) < table[kind][:, None, :])
    sample = type(sample)(
        **{name: getattr(sample, name) for name in sample.__slots__}
        | {"token_S": token, "layer_S": layer, "expert_S": expert}
    )
    experts, layers = rollups_of(sample)
    report = specialization(
        run_id="r", n_layers=2, n_experts=12, experts=experts, layers=layers, sample=sample,
        words=Vocabulary.of(PIECES),
    )  # fmt: skip
    found = expert_clusters(report.parts, seed=0)
    assert found is not None
    assert found.clustering.n_clusters == 2
    of_first = found.experts[found.experts["cluster"] == 0]["expert_id"]
    assert set(of_first) in ({0, 1, 2, 3, 4, 5}, {6, 7, 8, 9, 10, 11})
    assert {feature for feature, _ in found.typical(0, 2)} == {("class", "number"), ("class", "punctuation")}
    called = found.most_for(0)
    assert called is not None
    assert called[1] >= 1.25 or all(lift < 1.25 for _, lift in found.typical(0, 99))


def test_pairs_counted_by_hand() -> None:
    """100 tokens; experts 0 and 1 run 50 times each and 40 times together, 2 runs 50 times and 10 times with either:
    lifts 1.6, 0.4, 0.4, and all pairs have 60 of 75 expected: a chance of 0.8."""
    pairs = pd.DataFrame({"layer": 0, "first": [0, 0, 1], "second": [1, 2, 2], "n": [40, 10, 10]})
    load = pd.DataFrame({"layer": 0, "expert_id": [0, 1, 2], "n": [50, 50, 50]})
    found = partner_lifts(pairs, load, pd.DataFrame({"layer": [0], "tokens": [100]}))
    by_pair = {(row.first, row.second): row for row in found.itertuples()}
    assert by_pair[0, 1].lift == pytest.approx(1.6)
    assert by_pair[0, 1].chance == pytest.approx(0.8)
    assert by_pair[0, 1].over_chance == pytest.approx(2.0)
    assert (0, 2) in by_pair  # 20 expected


def test_pairs_get_intervals_from_documents() -> None:
    """Around the lift, from as many documents as the sample has."""
    sample = sample_of(World(documents=60), 0)
    runs = pd.DataFrame({"t": sample.token_S, "layer": sample.layer_S, "expert_id": sample.expert_S})
    both = runs.merge(runs, on=["t", "layer"])
    both = both[both["expert_id_x"] < both["expert_id_y"]]
    pairs = both.groupby(["layer", "expert_id_x", "expert_id_y"], as_index=False).size()
    pairs.columns = pd.Index(["layer", "first", "second", "n"])
    load = runs.groupby(["layer", "expert_id"], as_index=False).size().rename(columns={"size": "n"})
    tokens = pd.DataFrame({"layer": [0, 1], "tokens": sample.n_tokens})
    found = with_intervals(partner_lifts(pairs, load, tokens), sample).head(5)
    assert ((found["low"] < found["over_chance"]) & (found["over_chance"] < found["high"])).all()
    assert (found["documents"] == 60).all()


def test_maps_have_two_coordinates() -> None:
    """Also for points of one dimension; the same each time."""
    points = np.random.default_rng(0).normal(size=(40, 5))
    for method in ("pca", "tsne"):
        flat = project(points, method, seed=0)  # type: ignore[arg-type]
        assert flat.shape == (40, 2)
        assert np.allclose(flat, project(points, method, seed=0))  # type: ignore[arg-type]
    assert project(points[:, :1], "pca", seed=0).shape == (40, 2)


def test_saturation_is_read_or_refused() -> None:
    """A file that is not what it should be shows nothing rather than wrong numbers."""
    rows = [
        {"step": step, "layer": layer, "agreement": value, "low": value - 0.1, "high": value + 0.05}
        for layer in (0, 1) for step, value in ((10, 0.5), (20, 0.92), (30, 0.95))
    ]  # fmt: skip
    document = {"recipe": "r", "n_texts": 3, "n_tokens": 30, "rows": rows, "note": ""}
    found = read_saturation(document)
    assert found is not None
    assert saturated_by(found, 0.9) == 20
    assert saturated_by(found, 0.99) is None
    assert read_saturation({**document, "rows": []}) is None
    assert read_saturation({**document, "rows": [{**rows[0], "high": 0.1}]}) is None
    assert read_saturation({"rows": 3}) is None

"""The counterfactual audit: contrasts by hand, error rates by simulation, controls that fail when they should."""

import json
from dataclasses import replace

import numpy as np
import pytest

from moe_core.analysis.counterfactual import contrast, verdicts
from moe_core.analysis.counterfactual.pairs import PairChanges
from moe_core.analysis.counterfactual.report import arrangements, counterfactual_report
from moe_core.analysis.counterfactual.self_tests import SelfTests, combined_p, plant
from moe_core.errors import GroupTooSmallError
from tests.unit.analysis.counterfactual.build import simulated


def one(values: list[float], *, same: list[bool] | None = None) -> PairChanges:
    """One template, three wordings (two groups: 0, 0, 1), one layer; pairs (0,1), (0,2), (1,2)."""
    return PairChanges(
        template="t", group_N=np.array([0, 0, 1]), values_MP=np.array([values, [0] * 3, [0] * 3, [0] * 3], dtype=float),
        tokens_P=np.array([10, 10, 10]), same_P=np.array(same or [True] * 3),
        fills_FN=np.array([[0.2, 0.4, 0.9], [3, 3, 4], [5, 6, 7]], dtype=float), swapped_N=np.array([1.0, 2.0, np.nan]),
    )  # fmt: skip


def test_the_contrast_is_other_group_minus_same_group() -> None:
    """Pairs across: .5 and .7, within: .2, so +.4. With pairs of equal length only: .7 - .2."""
    pairs = [one([0.2, 0.5, 0.7])]
    real = contrast.observed_labels(pairs)
    assert contrast.pair_contrasts(pairs, real)[0, 0, 0] == pytest.approx(0.4)
    short = [one([0.2, 0.5, 0.7], same=[True, False, True])]
    assert contrast.pair_contrasts(short, real, same_length=True)[0, 0, 0] == pytest.approx(0.5)
    lacking = [one([0.2, 0.5, 0.7], same=[False, True, True])]
    assert np.isnan(contrast.pair_contrasts(lacking, real, same_length=True)[0, 0, 0])
    assert contrast.pair_contrasts(pairs, real, without=1)[0, 0, 0] != contrast.pair_contrasts(pairs, real)[0, 0, 0]
    assert contrast.group_contrasts(pairs, real, 1)[0, 0].tolist() == pytest.approx([0.6, 1.0, 1.5])


def test_sign_flips_of_five_templates_by_hand() -> None:
    """Five equal positive differences: 1 of 32 sign patterns is as extreme, so p is near 1/32 one-sided."""
    p = contrast.sign_flip(np.full((5, 1), 0.1), 20_000, two_sided=False, seed=1)[0]
    assert p == pytest.approx(1 / 32, abs=0.005)
    both = contrast.sign_flip(np.full((5, 1), -0.1), 20_000, two_sided=True, seed=1)[0]
    assert both == pytest.approx(2 / 32, abs=0.007)
    assert contrast.sign_flip(np.zeros((5, 2)), 99, two_sided=False, seed=1).tolist() == [1.0, 1.0]


def test_ways_to_group_words() -> None:
    """4 and 4: 70 / 2; 2 and 2: 3; 3 and 1: 4; three pairs: 15."""
    assert arrangements([0] * 4 + [1] * 4) == 35
    assert arrangements([0, 0, 1, 1]) == 3
    assert arrangements([0, 0, 0, 1]) == 4
    assert arrangements([0, 0, 1, 1, 2, 2]) == 15


def test_no_difference_is_rarely_called_one_though_templates_agree_about_odd_words() -> None:
    """100 logs without a difference: the two tests together call at most 9 of them different (99.9 % limit of 3 to 5
    %); the sign-flip over templates alone is fooled far more often, which is why it is not used alone."""
    together = alone = 0
    for seed in range(100):
        pairs = simulated(seed)
        together += bool(combined_p(pairs, shared=True, draws=199, seed=seed).min() <= 0.05)
        real = contrast.pair_contrasts(pairs, contrast.observed_labels(pairs))[0][:, :6]
        alone += bool(contrast.sign_flip(real, 199, two_sided=False, seed=seed).min() <= 0.05)
    assert together <= 12
    assert alone > 15


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 0.8])
def test_the_interval_holds_the_truth(shift: float) -> None:
    """150 draws of words and templates: between 90 and 100 % of the intervals hold the mean over 300 other draws."""
    def layer(seed: int) -> tuple[float, float]:
        pairs = simulated(seed, shift=shift)
        real = contrast.observed_labels(pairs)
        left_out = [contrast.pair_contrasts(pairs, real, without=n) for n in range(16)]
        jackknife = np.concatenate([contrast.mean_over_templates(each) for each in left_out])
        values = contrast.pair_contrasts(pairs, real)[0]
        return float(values.mean(axis=0)[0]), float(contrast.half_width(values, jackknife)[0])

    def mean(seed: int) -> float:
        pairs = simulated(seed, shift=shift)
        return float(contrast.pair_contrasts(pairs, contrast.observed_labels(pairs))[0].mean(axis=0)[0])

    truth = np.mean([mean(10_000 + seed) for seed in range(300)])
    held = [abs(middle - truth) <= half for middle, half in map(layer, range(150))]
    assert np.mean(held) >= 0.90


def test_a_planted_difference_is_found_and_its_neighbours_are_not() -> None:
    """A tenth of the tokens of layer 2 in a log without any difference."""
    pairs = plant(simulated(6), layer=2, share=0.1, seed=0)
    report = counterfactual_report("a", ("x", "y"), pairs, shared=True, permutations=199, seed=0)
    assert report.routing["flagged"].tolist() == [False, False, True, False, False, False]
    row = report.routing.iloc[2]
    assert row["low"] < row["difference"] < row["high"]
    assert row["swap"] - row["neutral"] == pytest.approx(row["difference"])
    assert report.valid
    assert not report.underpowered
    assert "layer 2" in verdicts.verdicts(report)["routing"]


def test_a_group_that_scores_higher_is_named() -> None:
    """Words of the second group move the score; compute and tokens stay equal and are not named."""
    report = counterfactual_report("a", ("x", "y"), simulated(5, shift=2.0), shared=True, permutations=199, seed=0)
    scores = report.groups[report.groups["measure"] == "score"].set_index("group")
    assert scores.loc["y", "p"] <= 0.05
    assert scores.loc["y", "low"] > 0
    assert scores.loc["y", "difference"] == pytest.approx(-scores.loc["x", "difference"])
    said = verdicts.verdicts(report)
    assert "Difference in the score for: x, y" in said["answer"]
    assert "No group differs in experts per token" in said["compute"]


def test_two_words_a_group_are_too_few_and_say_so() -> None:
    """Three ways to group four words: nothing can be significant, so nothing is flagged, and the report is not stamped
    NOT VALID for it."""
    report = counterfactual_report(
        "a", ("x", "y"), simulated(1, words=2, shift=3.0), shared=True, permutations=199, seed=0
    )
    assert report.few_words
    assert not report.routing["flagged"].any()
    assert report.valid
    assert report.underpowered
    assert any("Too few words" in line for line in verdicts.notes(report))


def test_fewer_than_five_templates_are_refused() -> None:
    """One sentence with the number found and the number needed."""
    with pytest.raises(GroupTooSmallError, match="has 4 templates: at least 5"):
        counterfactual_report("a", ("x", "y"), simulated(1, templates=4), shared=True, permutations=99, seed=0)


def test_a_failed_control_stamps_the_report() -> None:
    """Too many alarms, or a plant that enough templates and words did not show."""
    report = counterfactual_report("a", ("x", "y"), simulated(1), shared=True, permutations=199, seed=0)
    loud = SelfTests(shuffles=200, alarms=18, alarms_templates=18, planted_p=0.001, gross_p=0.001)
    blind = SelfTests(shuffles=200, alarms=3, alarms_templates=3, planted_p=0.4, gross_p=0.4)
    for tests in (loud, blind):
        failed = replace(report, tests=tests)
        assert not failed.valid
        assert verdicts.notes(failed)[0].startswith("NOT VALID")
    weak = replace(report, tests=replace(blind, gross_p=0.01))
    assert weak.valid
    assert weak.underpowered
    assert replace(report, tests=replace(loud, alarms=17)).valid


def test_words_of_their_own_are_shuffled_inside_their_template() -> None:
    """Without shared words every template has its own order, and the report still finds a large difference."""
    pairs = simulated(2, words=2, templates=20, shift=3.0)
    labels = contrast.shuffled_labels(pairs, 5, shared=False, seed=0)
    assert any((labels[0] != other).any() for other in labels[1:])
    report = counterfactual_report("a", ("x", "y"), pairs, shared=False, permutations=199, seed=0)
    assert report.routing["flagged"].all()


def test_the_document_is_plain_json() -> None:
    """Not-a-number becomes null, numpy numbers become numbers."""
    report = counterfactual_report("a", ("x", "y"), simulated(1), shared=True, permutations=99, seed=0)
    empty = replace(report, swapped=report.swapped.assign(experts_per_token=np.nan))
    document = json.loads(json.dumps(verdicts.document(empty), allow_nan=False))
    assert document["swapped_words"][0]["experts_per_token"] is None
    assert len(document["layers"]) == 6
    assert set(document["verdicts"]) == {"routing", "compute", "answer"}

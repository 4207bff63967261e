"""The explanation of the shipped model's decisions, held against the model itself."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from moe_core.errors import InputError
from moe_core.explain.attribution import logarithmic_mean, shares
from moe_core.explain.explain import completeness_error, explain_decision
from moe_core.explain.flips import flip_of_input
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting
from tests.unit.explain.real_modules import Case, cases

SETTINGS = {
    "a third": Setting(budget=0.35, head=None),
    "most": Setting(budget=0.8, head=None),
    "top-k": Setting(mode="topk", budget=0.3, head=None),
    "lost": Setting(budget=0.4, head=None, unavailable=((0, 3), (2, 5), (5, 1), (5, 2))),
    "thresholds": Setting(thresholds_L=(0.1, 0.2, 0.3, 0.1, 0.05, 0.15), head=None),
}
TEXT = "The parcel never arrived and nobody answers."


def removals(each: Case) -> tuple[int, int, float]:
    """(decisions predicted, of them wrong, largest error of a logit)."""
    _, logits_NE = each.path.without_each()
    really_NE, runs_NE = each.really_without()
    predicted_NE = each.rule.compare(logits_NE).runs_NE
    return predicted_NE.size, int((predicted_NE != runs_NE).sum()), float(np.abs(logits_NE - really_NE).max())


def worst_error(each: Case) -> float:
    """Largest completeness error over all experts of a layer."""
    apart = each.path.taken_apart()
    logits_E = each.path.reader.logits(apart.input_D[None])[0]
    compared, logged = each.rule.compare(logits_E[None]), each.rule.compare(each.logged_E[None])
    margins_E, scores = (logged.scores_NE - logged.thresholds_NE)[0], list(logged.scores_NE[0])
    errors = []
    for expert in range(len(logits_E)):
        found = shares(apart, each.path.reader, each.rule, compared, expert, each.rule.rival(logits_E, expert))
        errors.append(completeness_error(found, float(margins_E[expert]), logits_E, each.logged_E, scores))
    return max(errors)


@pytest.mark.parametrize("name", SETTINGS)
def test_parts_add_up_and_removals_are_predicted(model: RoutedModel, texts: list[str], name: str) -> None:
    """In every mode the bars sum to the logged margin, and a component really taken out does what was foretold."""
    every = [c for text in texts[5:7] for c in cases(model, text, SETTINGS[name], [0, 2, 5], 9)]
    assert max(map(worst_error, every)) <= 1e-4
    counted = np.array([removals(each) for each in every])
    assert counted[:, 1].sum() == 0
    assert counted[:, 2].max() < 1e-3


def check_flips(every: Sequence[Case]) -> tuple[int, int, int, float]:
    """(decisions, turned at 1.001 x and not at .999 x in float64, the same by the real modules in float32, largest
    residual)."""
    n = exact = real = 0
    residuals = []
    for each in every:
        apart, norm = each.path.taken_apart(), each.path.stages[-1].norm
        logits_E = each.path.reader.logits(apart.input_D[None])[0]
        expert = each.rule.closest(logits_E)
        flip, change_D = flip_of_input(norm, each.path.reader, apart.before_D, each.rule, expert)
        if change_D is None:
            continue
        moved_ND = apart.before_D + np.array([[0.999], [1.001]]) * change_D
        sides = each.rule.compare(each.path.reader.logits(norm(moved_ND))).runs_NE[:, expert]
        really = each.really_moved(torch.from_numpy(moved_ND))[:, expert]
        ran = each.runs_E[expert]
        n, exact = n + 1, exact + (list(sides) == [ran, not ran])
        real += list(really) == [ran, not ran]
        residuals.append(flip.residual or 0.0)
    return n, exact, real, max(residuals)


def test_the_smallest_change_turns_the_decision(model: RoutedModel, texts: list[str]) -> None:
    """At 1.001 times its length, and not at .999 times; the change is a combination of the boundary's normals."""
    every = [c for text in texts[8:10] for c in cases(model, text, SETTINGS["a third"], [1, 4], 5)]
    n, exact, _, residual = check_flips(every)
    assert n == exact == len(every)
    assert residual < 1e-4


def test_no_random_direction_is_shorter(model: RoutedModel, texts: list[str]) -> None:
    """Changes of 0.99 times the length in 3,000 directions near to it and in all others turn nothing."""
    rng = np.random.default_rng(0)
    for each in cases(model, texts[11], SETTINGS["a third"], [3, 5], 6):
        apart, norm = each.path.taken_apart(), each.path.stages[-1].norm
        expert = each.rule.closest(each.path.reader.logits(apart.input_D[None])[0])
        flip, change_D = flip_of_input(norm, each.path.reader, apart.before_D, each.rule, expert)
        assert change_D is not None
        assert flip.distance is not None
        seen_RD = np.concatenate([each.path.reader.inner_RD * norm.scale_D, change_D[None]])
        directions_ND = np.concatenate([rng.normal(size=(1000, len(change_D))), rng.normal(size=(1000, 33)) @ seen_RD])
        spread = 0.5 * flip.distance / np.sqrt(len(change_D))
        directions_ND = np.concatenate([directions_ND, change_D + spread * rng.normal(size=(1000, len(change_D)))])
        directions_ND *= 0.99 * flip.distance / np.linalg.norm(directions_ND, axis=1, keepdims=True)
        runs_N = each.rule.compare(each.path.reader.logits(norm(apart.before_D + directions_ND))).runs_NE[:, expert]
        assert (runs_N == each.runs_E[expert]).all()


@pytest.mark.slow
def test_on_ten_thousand_decisions(model: RoutedModel, texts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The figures of docs/explanations.md: completeness on more than 10,000 decisions in five
    settings, removals on more than 100,000, and the smallest change of the closest call of every token taken."""
    lines, decisions = [], 0
    for name, setting in SETTINGS.items():
        several = texts[:16] if name == "a third" else texts[40:43]
        every = [c for text in several for c in cases(model, text, setting, [0, 1, 2, 3, 4, 5], 7)]
        decisions += 16 * len(every)
        counted = np.array([removals(each) for each in every])
        errors = [worst_error(each) for each in every]
        n, exact, real, residual = check_flips(every)
        lines.append(
            f"{name}: {16 * len(every):,} decisions, completeness {max(errors):.1e}; {int(counted[:, 0].sum()):,} "
            f"removals, {int(counted[:, 1].sum())} wrong; {n:,} flips, float64 {exact}, float32 {real}, "
            f"residual {residual:.1e}"
        )
        with capsys.disabled():
            print(lines[-1])
        assert max(errors) <= 1e-4
        assert counted[:, 1].sum() == 0
        assert exact >= 0.999 * n
    assert decisions >= 10_000


@pytest.mark.parametrize("budget", [0.2, 0.35, 0.6])
def test_what_an_explanation_says_is_what_the_model_did(model: RoutedModel, budget: float) -> None:
    """Scores, thresholds and choices of all experts are the trace's; the sum of the bars is the margin."""
    setting = Setting(budget=budget, head=None, keep_traces=True)
    trace = model.run([TEXT], budget, keep_traces=True).answers[0].trace
    assert trace is not None
    told = explain_decision(model, TEXT, setting, position=3, layer=4)
    assert np.array_equal([e.score for e in told.experts], trace.scores_LTE[4, 3].astype(float))
    assert [e.runs for e in told.experts] == list(trace.gates_LTE[4, 3] > 0)
    assert told.token == trace.pieces[3]
    total = sum(c.contribution for c in told.contributions)
    assert abs(total - told.margin) <= told.completeness_error * np.ptp(trace.scores_LTE[4, 3]) + 1e-12
    assert told.completeness_error <= 1e-4
    strongest = max(told.experts, key=lambda e: e.score)
    assert told.expert_id != strongest.expert_id
    others = [e for e in told.experts if e is not strongest]
    assert min(others, key=lambda e: abs(e.log_margin)).expert_id == told.expert_id


def test_the_strongest_experts_cap_is_a_bar_of_its_own(model: RoutedModel) -> None:
    """The strongest expert's score is cut off at 1; its bars still sum to the logged margin."""
    first = explain_decision(model, TEXT, SETTINGS["a third"], position=3, layer=4)
    best = max(first.experts, key=lambda e: e.score)
    told = explain_decision(model, TEXT, SETTINGS["a third"], position=3, layer=4, expert_id=best.expert_id)
    assert told.runs
    assert told.margin == pytest.approx(1 - best.threshold)
    assert [c.kind for c in told.contributions].count("cap") == 1
    assert sum(c.contribution for c in told.contributions) == pytest.approx(told.margin, abs=1e-6)


def test_the_budget_that_turns_it_turns_it(model: RoutedModel) -> None:
    """Run again just beyond the budget found, the expert decides otherwise; just before it does not."""
    told = explain_decision(model, TEXT, SETTINGS["a third"], position=3, layer=0, reruns=True)
    assert told.budget_flip.budget is not None
    assert told.budget_flip.rerun_budget is not None
    # before the first router nothing else depends on the budget: both answers are the same, to the last halving
    assert told.budget_flip.rerun_budget == pytest.approx(told.budget_flip.budget, abs=1e-3)
    moved = Setting(budget=told.budget_flip.rerun_budget, head=None)
    again = explain_decision(model, TEXT, moved, position=3, layer=0, expert_id=told.expert_id)
    assert again.runs != told.runs


@pytest.mark.parametrize(
    ("setting", "where", "word"),
    [
        (Setting(mode="dense"), {"position": 0, "layer": 0}, "Dense"),
        (Setting(budget=1.0), {"position": 0, "layer": 0}, "every expert runs"),
        (Setting(mode="topk", budget=1.0), {"position": 0, "layer": 0}, "nothing is decided"),
        (Setting(), {"position": 99, "layer": 0}, "position 99"),
        (Setting(), {"position": 0, "layer": 6}, "layer 6"),
        (Setting(), {"position": 0, "layer": 0, "expert_id": 16}, "expert 16"),
    ],
)
def test_what_cannot_be_explained_is_refused(
    model: RoutedModel, setting: Setting, where: dict[str, int], word: str
) -> None:
    """One sentence says why."""
    with pytest.raises(InputError, match=word):
        explain_decision(model, TEXT, setting, **where)


def test_the_logarithmic_mean_is_the_one_of_the_book() -> None:
    """(e - 1) / 1 between e and 1; a itself between a and a; symmetric."""
    assert logarithmic_mean(np.e, 1.0) == pytest.approx(np.e - 1)
    assert logarithmic_mean(0.3, 0.3) == 0.3
    assert logarithmic_mean(0.1, 0.7) == pytest.approx(logarithmic_mean(0.7, 0.1))

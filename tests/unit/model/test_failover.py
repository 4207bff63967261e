"""Lost experts: none of them runs, somebody always does, and who stands in is marked."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from moe_core.errors import InputError
from moe_core.model.lost_experts import available_LE, expert_name, parse_expert
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting, TextRequest
from moe_core.model.router import decide, decide_top_k
from moe_core.model.split import expert_layers
from moe_core.records import DecisionFlag
from tests.unit.model.conftest import ListSink

LOST = ((0, 1), (1, 3))
TEXTS = ["the parcel never arrived", "good box", "nobody answers and the bad box is late again", "late"]
REQUESTS = [TextRequest(text=text) for text in TEXTS]
SETTINGS = [
    Setting(mode="adaptive", budget=0.3), Setting(mode="adaptive", budget=0.6), Setting(mode="adaptive", budget=1),
    Setting(mode="adaptive", thresholds_L=(0.0, 0.97)),
    Setting(mode="topk", budget=0.25), Setting(mode="topk", budget=0.5), Setting(mode="topk", budget=1),
]  # fmt: skip


def poison(model: RoutedModel) -> None:
    """Whoever multiplies with a lost expert's weights gets NaN."""
    for layer, expert in LOST:
        block = expert_layers(model.adapted)[layer]
        rows = slice(expert * block.expert_width, (expert + 1) * block.expert_width)
        for weight in (block.w1_HD, block.b1_H, block.w2_HD):
            weight[rows] = float("nan")


def with_lost(setting: Setting, **changes: Any) -> Setting:
    return replace(setting, head=None, unavailable=LOST, **changes)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: f"{s.mode}-{s.thresholds_L or s.budget}")
def test_a_lost_expert_has_no_part_in_any_answer(tiny_model: RoutedModel, setting: Setting) -> None:
    """With NaN for its weights, the answers at every setting are those of whole weights to rounding."""
    whole = tiny_model.session(with_lost(setting)).answer(REQUESTS)
    poison(tiny_model)
    answers = tiny_model.session(with_lost(setting)).answer(REQUESTS)
    for ours, theirs in zip(answers, whole, strict=True):
        np.testing.assert_allclose(ours.embedding_D, theirs.embedding_D, atol=1e-5)


def test_the_poison_would_show(tiny_model: RoutedModel) -> None:
    """The control of the test above: with every expert available the answers are not finite."""
    poison(tiny_model)
    answers = tiny_model.session(Setting(budget=1, head=None)).answer(REQUESTS)
    assert not np.isfinite(answers[0].embedding_D).any()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: f"{s.mode}-{s.thresholds_L or s.budget}")
def test_the_log_shows_no_lost_expert_as_executed_and_one_winner_everywhere(
    tiny_model: RoutedModel, setting: Setting
) -> None:
    """Per request, token and layer; and what answers report as active is what the log counts."""
    sink = ListSink()
    answers = tiny_model.session(with_lost(setting), sink).answer(REQUESTS)
    _, _, rows = sink.parts[0]
    for layer, expert in LOST:
        assert not (rows.selected_N & (rows.layer_N == layer) & (rows.expert_id_N == expert)).any()
    tokens = sum(answer.n_tokens for answer in answers)
    places = np.stack([rows.request_index_N, rows.position_N, rows.layer_N], axis=1)[rows.selected_N]
    assert len(np.unique(places, axis=0)) == tokens * 2
    active = sum(answer.active_fraction * answer.n_tokens * 8 for answer in answers)
    assert active == pytest.approx(rows.selected_N.sum())


def test_all_experts_on_means_all_that_are_left(tiny_model: RoutedModel) -> None:
    """Budget 1 with one of four experts lost in each layer runs three quarters; nobody had to stand in."""
    sink = ListSink()
    answers = tiny_model.session(with_lost(Setting(budget=1)), sink).answer(REQUESTS)
    assert [answer.active_fraction for answer in answers] == [0.75] * len(TEXTS)
    assert not (sink.parts[0][2].flags_N & DecisionFlag.FAILOVER).any()


def test_who_stands_in_is_marked_in_the_log_and_in_the_trace(tiny_model: RoutedModel) -> None:
    """At a high threshold mostly one expert runs, so losing the favourite of a layer makes failovers; each of them ran
    and is what the trace says."""
    dense = tiny_model.session(Setting(thresholds_L=(0.97, 0.97), head=None, keep_traces=True)).answer(REQUESTS)
    counts_E = sum((a.trace.gates_LTE[0] > 0).sum(axis=0) for a in dense if a.trace is not None)
    favourite = int(np.argmax(counts_E))
    sink = ListSink()
    setting = Setting(thresholds_L=(0.97, 0.97), unavailable=((0, favourite),), head=None, keep_traces=True)
    answers = tiny_model.session(setting, sink).answer(REQUESTS)
    _, _, rows = sink.parts[0]
    stood_in = (rows.flags_N & DecisionFlag.FAILOVER) > 0
    assert stood_in.any()
    assert (rows.layer_N[stood_in] == 0).all()
    assert rows.selected_N[stood_in].all()
    assert sum(int(a.trace.failover_LTE.sum()) for a in answers if a.trace is not None) == stood_in.sum()


def test_a_lost_expert_that_would_have_run_is_the_recorded_loser(tiny_model: RoutedModel) -> None:
    """With every other expert on, the one row of a token that did not run is the lost one, with a margin above 0."""
    sink = ListSink()
    tiny_model.session(Setting(budget=1, unavailable=((0, 2),), head=None), sink).answer(REQUESTS)
    _, _, rows = sink.parts[0]
    losers = ~rows.selected_N
    assert set(zip(rows.layer_N[losers].tolist(), rows.expert_id_N[losers].tolist(), strict=True)) == {(0, 2)}
    assert (rows.margin_N[losers] > 0).all()


def test_without_the_strongest_the_others_are_measured_against_the_strongest_left() -> None:
    """Scores 1, 0.5, 0.25 at threshold 0.4. Without the first they are 1, 0.5 of the second's: the second ran anyway,
    the third stands in. Without the second the third stays at 0.25 and nobody stands in."""
    logits = torch.tensor([[math.log(4), math.log(2), 0.0]])
    first = decide(logits, torch.full((3,), 0.4), 0.2, torch.tensor([False, True, True]))
    torch.testing.assert_close(first.scores_TE, torch.tensor([[1.0, 1.0, 0.5]]))
    assert (first.gates_TE > 0).tolist() == [[False, True, True]]
    assert first.failover_TE is not None
    assert first.failover_TE.tolist() == [[False, False, True]]
    second = decide(logits, torch.full((3,), 0.4), 0.2, torch.tensor([True, False, True]))
    torch.testing.assert_close(second.scores_TE, torch.tensor([[1.0, 0.5, 0.25]]))
    assert (second.gates_TE > 0).tolist() == [[True, False, False]]
    assert second.failover_TE is not None
    assert not second.failover_TE.any()


def test_the_next_one_stands_in_only_for_a_lost_favourite() -> None:
    """At threshold 0.9: losing the favourite makes the next one a failover; losing the weakest changes nothing."""
    logits = torch.tensor([[math.log(4), math.log(2), 0.0]])
    lost_first = decide(logits, torch.full((3,), 0.9), 0.2, torch.tensor([False, True, True]))
    assert lost_first.failover_TE is not None
    assert lost_first.failover_TE.tolist() == [[False, True, False]]
    assert lost_first.floor_T.tolist() == [False]
    lost_last = decide(logits, torch.full((3,), 1.1), 0.2, torch.tensor([True, True, False]))
    assert lost_last.failover_TE is not None
    assert lost_last.floor_T.tolist() == [True]
    assert not lost_last.failover_TE.any()


def test_top_k_goes_on_with_the_next_in_order() -> None:
    """Order 0, 1, 2, 3; k = 2: losing 0 brings in 2; losing 3 nobody. k = 3 with two left runs those two, and the
    margin of the last counts from 0."""
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0]])
    lost_first = decide_top_k(logits, 2, torch.tensor([False, True, True, True]))
    assert lost_first.gates_TE.tolist() == [[0, 1, 1, 0]]
    assert lost_first.failover_TE is not None
    assert lost_first.failover_TE.tolist() == [[False, False, True, False]]
    torch.testing.assert_close(lost_first.thresholds_E[0, 0], torch.exp(torch.tensor(-3.0)))
    lost_last = decide_top_k(logits, 2, torch.tensor([True, True, True, False]))
    assert lost_last.failover_TE is not None
    assert not lost_last.failover_TE.any()
    two_left = decide_top_k(logits, 3, torch.tensor([True, False, False, True]))
    assert two_left.gates_TE.tolist() == [[1, 0, 0, 1]]
    assert two_left.failover_TE is not None
    assert two_left.failover_TE.tolist() == [[False, False, False, True]]
    assert two_left.thresholds_E.eq(0).all()


@given(
    st.lists(st.lists(st.floats(-6, 6, width=32), min_size=5, max_size=5), min_size=1, max_size=5),
    st.floats(0, 1.2),
    st.lists(st.booleans(), min_size=5, max_size=5).filter(any),
    st.integers(1, 5),
)
def test_failovers_are_exactly_those_that_run_now_and_did_not_with_all_available(
    rows: list[list[float]], tau: float, available: list[bool], k: int
) -> None:
    """In both modes, against a second decision with every expert available; no lost one runs, and one always does."""
    logits, left_E = torch.tensor(rows), torch.tensor(available)
    for routing, full in (
        (decide(logits, torch.full((5,), tau), 0.2, left_E), decide(logits, torch.full((5,), tau), 0.2)),
        (decide_top_k(logits, k, left_E), decide_top_k(logits, k)),
    ):
        ran_TE = routing.gates_TE > 0
        assert not ran_TE[:, ~left_E].any()
        assert ran_TE.any(dim=1).all()
        assert routing.failover_TE is not None
        assert torch.equal(routing.failover_TE, ran_TE & ~(full.gates_TE > 0))


def test_thresholds_replace_the_budget_layer_by_layer(tiny_model: RoutedModel) -> None:
    """The dial's own threshold in every layer gives the dial's answers bit for bit; 0 runs everybody in that layer."""
    dial = tiny_model.run(TEXTS, budget=0.6).answers
    same = tiny_model.session(Setting(thresholds_L=(0.5, 0.5), head=None)).answer(REQUESTS)
    for ours, theirs in zip(same, dial, strict=True):
        np.testing.assert_array_equal(ours.embedding_D, theirs.embedding_D)
    mixed = tiny_model.session(Setting(thresholds_L=(0.0, 0.97), head=None, keep_traces=True)).answer(REQUESTS)
    for answer in mixed:
        assert answer.trace is not None
        assert (answer.trace.gates_LTE[0] == 1).all()
        assert answer.trace.experts_used_LT[1].mean() < 4


def test_the_run_says_what_was_lost_and_which_thresholds_held(tiny_model: RoutedModel) -> None:
    """config: thresholds per layer and expert, lost experts by name; a run at thresholds has no budget."""
    run = tiny_model.session(with_lost(Setting(thresholds_L=(0.2, 0.4)))).run
    assert run.budget is None
    assert run.config["tau_L"] == [0.2, 0.4]
    assert run.config["unavailable"] == ["0:1", "1:3"]
    factors = [block.router.thresholds_E(1.0) for block in expert_layers(tiny_model.adapted)]
    np.testing.assert_allclose(run.config["thresholds_LE"][1], 0.4 * factors[1].numpy(), atol=1e-6)
    topk = tiny_model.session(with_lost(Setting(mode="topk", budget=0.5))).run
    assert (topk.config["top_k"], topk.config["unavailable"], topk.budget) == (2, ["0:1", "1:3"], 0.5)
    assert "unavailable" not in tiny_model.session(Setting(budget=0.5, head=None)).run.config


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unavailable": ((0, 4),)}, "no expert 0:4.*layers 0 to 1"),
        ({"unavailable": ((2, 0),)}, "no expert 2:0"),
        ({"unavailable": ((0, 1), (0, 1))}, "0:1 is named twice"),
        ({"unavailable": tuple((1, e) for e in range(4))}, "All 4 experts of layer 1"),
        ({"mode": "dense", "unavailable": ((0, 1),)}, "no experts"),
        ({"mode": "topk", "thresholds_L": (0.1, 0.1)}, "topk mode has none"),
        ({"mode": "dense", "thresholds_L": (0.1, 0.1)}, "dense mode has none"),
        ({"thresholds_L": (0.1,)}, "1 thresholds for 2 layers"),
        ({"thresholds_L": (0.1, 0.98)}, "layer 1 is 0.98"),
        ({"thresholds_L": (math.nan, 0.1)}, "layer 0 is nan"),
    ],
)
def test_a_setting_that_cannot_be_followed_is_refused(
    tiny_model: RoutedModel, changes: dict[str, Any], words: str
) -> None:
    """Before anything runs, in one sentence."""
    with pytest.raises(InputError, match=words):
        tiny_model.session(replace(Setting(budget=0.5, head=None), **changes))


def test_names_of_experts() -> None:
    """LAYER:EXPERT, counted from 0; anything else is refused."""
    assert parse_expert("2:5") == (2, 5)
    assert expert_name((2, 5)) == "2:5"
    for bad in ("2", "2:", ":5", "2:-1", "2:5:1", "a:b", "", "\u0662:5", 25):
        with pytest.raises(InputError, match="LAYER:EXPERT"):
            parse_expert(bad)  # type: ignore[arg-type]
    masks = available_LE([(1, 0)], 2, 3)
    assert masks[0] is None
    assert masks[1] is not None
    assert masks[1].tolist() == [False, True, True]

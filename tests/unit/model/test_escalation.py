"""Escalation: who is run again, how, what it costs, and that the log keeps both passes apart."""

from pathlib import Path

import numpy as np
import pytest

from moe_core.errors import InputError
from moe_core.log.verify import verify_store
from moe_core.log.writer import SegmentSink
from moe_core.model.escalation import Escalator, run_escalating
from moe_core.model.policy import Escalation
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting, TextRequest
from tests.unit.model.conftest import ListSink
from tests.unit.tiny_encoders import WORDS

TEXTS = [f"the {a} {b} arrived" for a in WORDS[3:8] for b in WORDS[5:9]]
REQUESTS = [TextRequest(text=text, domain="mail", attributes={"n": str(n)}) for n, text in enumerate(TEXTS)]
SETTING = Setting(budget=0.3, head="mood")


def middle_margin(model: RoutedModel) -> float:
    """A margin that about half of the first answers fall below."""
    leads = [answer.lead or 0.0 for answer in model.session(SETTING).answer(REQUESTS)]
    return float(np.median(leads))


def test_doubtful_answers_become_those_of_the_dense_original_and_the_others_stay(tiny_model: RoutedModel) -> None:
    """Both groups exist; a doubtful one is answered as dense mode answers it, a clear one as before."""
    margin = middle_margin(tiny_model)
    result = run_escalating(tiny_model, REQUESTS, SETTING, Escalation(margin_below=margin))
    first = tiny_model.session(SETTING).answer(REQUESTS)
    dense = tiny_model.session(Setting(mode="dense", head="mood")).answer(REQUESTS)
    assert 0 < sum(answer.escalated for answer in result.answers) < len(TEXTS)
    for answer, before, full in zip(result.answers, first, dense, strict=True):
        assert answer.escalated == (before.lead is not None and before.lead < margin)
        expected = full if answer.escalated else before
        assert answer.final.label == expected.label
        assert answer.final.score == pytest.approx(expected.score, abs=1e-5)
        assert answer.first.label == before.label
    assert result.share == pytest.approx(sum(a.escalated for a in result.answers) / len(TEXTS))


def test_the_cost_is_the_sum_of_both_passes(tiny_model: RoutedModel) -> None:
    """FLOPs, latency, expert compute and log rows of a request that was run again; one dense pass is the baseline."""
    again = Escalation(margin_below=1.0, mode="adaptive", budget=1.0)
    for answer in run_escalating(tiny_model, REQUESTS, SETTING, again).answers:
        assert answer.escalated
        assert answer.flops == answer.first.flops + answer.final.flops
        assert answer.latency_ms == answer.first.latency_ms + answer.final.latency_ms
        assert answer.active_fraction == pytest.approx(answer.first.active_fraction + 1)
        assert answer.n_decisions == answer.first.n_decisions + answer.final.n_decisions
        assert answer.flops_dense == answer.first.flops_dense
    alone = run_escalating(tiny_model, REQUESTS, SETTING, Escalation(margin_below=0.0)).answers
    assert all(a.flops == a.first.flops and not a.escalated for a in alone)


def test_the_second_pass_is_a_run_of_its_own_that_names_the_first(tiny_model: RoutedModel) -> None:
    """Own run id and request ids, config.escalates, attributes with escalated_from; domain and attributes stay."""
    sink = ListSink()
    rule = Escalation(margin_below=middle_margin(tiny_model))
    result = run_escalating(tiny_model, REQUESTS, SETTING, rule, sink, source="test", actor="me")
    first, companion = sink.runs
    assert (first.run_id, companion.run_id) == (result.run_id, result.companion_run_id)
    assert companion.config["escalates"] == first.run_id
    assert first.config["escalation"]["margin_below"] == rule.margin_below
    assert (companion.mode, companion.source, companion.budget) == ("dense", "test", None)
    repeated = sink.requests_of(companion.run_id)
    assert [r.request_id for r in repeated] == [f"{companion.run_id}.{n}" for n in range(1, len(repeated) + 1)]
    by_id = {answer.first.request_id: answer for answer in result.answers}
    for record in repeated:
        answer = by_id[record.attributes["escalated_from"]]
        assert answer.escalated
        assert (record.request_id, record.label) == (answer.final.request_id, answer.final.label)
        assert (record.domain, record.actor) == ("mail", "me")
        assert record.text == TEXTS[int(record.attributes["n"])]
    originals = sink.requests_of(first.run_id)
    assert len(originals) == len(TEXTS)
    assert not any("escalated_from" in record.attributes for record in originals)
    assert sink.flushed == 1


def test_important_requests_are_run_again_whatever_their_margin(tiny_model: RoutedModel) -> None:
    """1, true and yes in any case count; without a head the attribute alone decides."""
    values = ["1", "true", " Yes ", "TRUE", "0", "no", "", "maybe"]
    requests = [TextRequest(text="good box", attributes={"vip": value}) for value in values]
    requests.append(TextRequest(text="good box"))
    rule = Escalation(important="vip")
    for head in ("mood", None):
        result = run_escalating(tiny_model, requests, Setting(budget=0.3, head=head), rule)
        assert [answer.escalated for answer in result.answers] == [True] * 4 + [False] * 5


def test_nothing_in_doubt_means_no_second_run(tiny_model: RoutedModel) -> None:
    """No empty companion run is left in the log."""
    sink = ListSink()
    result = run_escalating(tiny_model, REQUESTS, SETTING, Escalation(margin_below=0.0), sink)
    assert result.companion_run_id is None
    assert len(sink.runs) == 1
    assert run_escalating(tiny_model, [], SETTING, Escalation(margin_below=1.0)).answers == []


def test_the_second_pass_keeps_lost_experts_out_and_drops_thresholds(tiny_model: RoutedModel) -> None:
    """An adaptive second pass honours the lost experts; the dense one has none to honour."""
    setting = Setting(thresholds_L=(0.9, 0.9), unavailable=((0, 1),), head="mood")
    for mode, lost in (("adaptive", ((0, 1),)), ("dense", ())):
        escalator = Escalator(tiny_model.session(setting), Escalation(margin_below=1.0, mode=mode))  # type: ignore[arg-type]
        assert escalator.setting.unavailable == lost
        assert escalator.setting.thresholds_L is None
    sink = ListSink()
    run_escalating(tiny_model, REQUESTS, setting, Escalation(margin_below=1.0, mode="adaptive"), sink)
    for _, _, rows in sink.parts:
        assert not (rows.selected_N & (rows.layer_N == 0) & (rows.expert_id_N == 1)).any()


def test_batches_share_one_companion_run(tiny_model: RoutedModel) -> None:
    """The sink of the companion is opened once; its request numbers go on."""
    sinks: list[ListSink] = []

    def another() -> ListSink:
        sinks.append(ListSink())
        return sinks[-1]

    session = tiny_model.session(SETTING, ListSink())
    escalator = Escalator(session, Escalation(margin_below=1.0), another)
    ids = []
    for part in (REQUESTS[:7], REQUESTS[7:12]):
        ready = session.ready(part)
        ids += [answer.final.request_id for answer in escalator.finish(ready, session.answer_ready(ready))]
    assert len(sinks) == 1
    assert len(sinks[0].runs) == 1
    assert ids == [f"{escalator.run_id}.{n}" for n in range(1, 13)]


def test_a_rule_that_cannot_work_is_refused_before_anything_runs(tiny_model: RoutedModel) -> None:
    """A margin without a head, a first run that is dense already, a budget below the measured range."""
    sink = ListSink()
    for setting, rule, words in (
        (Setting(budget=0.3, head=None), Escalation(margin_below=0.1), "needs a head"),
        (Setting(mode="dense", head="mood"), Escalation(margin_below=0.1), "last resort"),
        (SETTING, Escalation(margin_below=0.1, mode="adaptive", budget=0.1), "below 0.300"),
    ):
        with pytest.raises(InputError, match=words):
            run_escalating(tiny_model, REQUESTS, setting, rule, sink)
    with pytest.raises(InputError, match="Text 2 is empty"):
        run_escalating(tiny_model, [REQUESTS[0], TextRequest(text=" ")], SETTING, Escalation(margin_below=0.1), sink)
    assert sink.runs == []


def test_one_real_sink_takes_both_runs_and_the_store_verifies(tiny_model: RoutedModel, tmp_path: Path) -> None:
    """Each run is ended, every decision is there once."""
    again = Escalation(margin_below=1.0, mode="adaptive", budget=1.0)
    with SegmentSink(tmp_path / "store") as sink:
        result = run_escalating(tiny_model, REQUESTS, SETTING, again, sink)
    report = verify_store(tmp_path / "store")
    assert report.ok, report.errors
    assert report.decisions == sum(answer.n_decisions for answer in result.answers)
    assert report.segments == 2

"""Escalation: requests whose first answer is in doubt, or that are marked as important, are run again.

The second pass is a run of its own, the companion, with its own run id and request ids, so that no decision's key
occurs twice in the log. Its `config` names the run it escalates; its requests name the request they repeat. It begins
with the first request that needs it. What a request cost is the sum of both passes.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from moe_core.errors import InputError
from moe_core.model.policy import Escalation
from moe_core.model.requests import Answer, ReadyRequest, Setting, TextRequest
from moe_core.model.session import Session
from moe_core.records import RoutingSink, RunRecord

if TYPE_CHECKING:
    from moe_core.model.reference import RoutedModel

TRUTHY = ("1", "true", "yes")
OpenSink = Callable[[], RoutingSink | None]


@dataclass(frozen=True, slots=True)
class EscalatedAnswer:
    """The first answer to a request and the final one; the same object where the request was not run again."""

    first: Answer
    final: Answer

    @property
    def escalated(self) -> bool:
        return self.final is not self.first

    @property
    def passes(self) -> tuple[Answer, ...]:
        return (self.first, self.final) if self.escalated else (self.first,)

    @property
    def flops(self) -> int:
        """Operations of both passes."""
        return sum(answer.flops for answer in self.passes)

    @property
    def flops_dense(self) -> int:
        """What the dense original would have cost: one pass."""
        return self.first.flops_dense

    @property
    def latency_ms(self) -> float:
        return sum(answer.latency_ms for answer in self.passes)

    @property
    def active_fraction(self) -> float:
        """Expert compute of both passes as a share of one pass with every expert: may exceed 1."""
        return sum(answer.active_fraction for answer in self.passes)

    @property
    def n_decisions(self) -> int:
        return sum(answer.n_decisions for answer in self.passes)


def check_escalation(rule: Escalation, setting: Setting) -> None:
    """Raises InputError for a rule that the first run can never trigger or never judge."""
    if rule.margin_below > 0 and setting.head is None:
        raise InputError("Escalation below a margin needs a head whose answer has one: name a head.")
    if setting.mode == "dense":
        raise InputError("Dense mode is the last resort of escalation already: escalate from adaptive or topk mode.")


def escalation_setting(setting: Setting, rule: Escalation) -> Setting:
    """How a request of a run at `setting` is run again. The original has no experts that could be unavailable."""
    unavailable = () if rule.mode == "dense" else setting.unavailable
    return replace(setting, mode=rule.mode, budget=rule.budget, thresholds_L=None, unavailable=unavailable)


def needs_escalation(rule: Escalation, request: TextRequest, answer: Answer) -> bool:
    """Whether this answer is in doubt or the request important."""
    if rule.important is not None and request.attributes.get(rule.important, "").strip().lower() in TRUTHY:
        return True
    return answer.lead is not None and answer.lead < rule.margin_below


class Escalator:
    """Runs again what a first session's answers leave in doubt. `open_sink` is called once, when the companion run
    begins, and must not give the sink that a still open first run writes to (a sink holds one run at a time). `details`
    of the companion's session: run and answered, where it was begun elsewhere."""

    def __init__(self, first: Session, rule: Escalation, open_sink: OpenSink = lambda: None, **details: Any) -> None:
        check_escalation(rule, first.setting)
        self.first, self.rule = first, rule
        self.setting = escalation_setting(first.setting, rule)
        first.model.session(self.setting)  # refuses a bad setting now, not at the first doubtful answer
        self.companion: Session | None = None
        self._open_sink, self._details = open_sink, details

    @property
    def run_id(self) -> str | None:
        """Of the companion run; None while no request has needed it."""
        return None if self.companion is None else self.companion.run.run_id

    def finish(self, ready: Sequence[ReadyRequest], answers: Sequence[Answer]) -> list[EscalatedAnswer]:
        """Final answers to requests that the first session has answered; the order stays."""
        doubtful = [
            place
            for place, (each, answer) in enumerate(zip(ready, answers, strict=True))
            if needs_escalation(self.rule, each.request, answer)
        ]
        if not doubtful:
            return [EscalatedAnswer(answer, answer) for answer in answers]
        again = [_again(ready[place], answers[place]) for place in doubtful]
        final = dict(zip(doubtful, self._begun().answer_ready(again), strict=True))
        return [EscalatedAnswer(answer, final.get(place, answer)) for place, answer in enumerate(answers)]

    def _begun(self) -> Session:
        if self.companion is None:
            self.companion = self._session(self._open_sink(), **self._details)
        return self.companion

    def planned_run(self) -> RunRecord:
        """The companion run as it would begin now, for somebody else to begin."""
        return self._session(None).run

    def _session(self, sink: RoutingSink | None, **details: Any) -> Session:
        run = self.first.run
        config = {"escalates": run.run_id, "escalation": asdict(self.rule)}
        return self.first.model.session(
            self.setting, sink, source=run.source, actor=self.first.actor, config=config, **details
        )


def _again(ready: ReadyRequest, answer: Answer) -> ReadyRequest:
    """The same request for the companion run; its tokens are there already."""
    attributes = {**ready.request.attributes, "escalated_from": answer.request_id}
    return ReadyRequest(replace(ready.request, attributes=attributes), ready.tokens, 0.0)


@dataclass(frozen=True, slots=True)
class EscalatedRun:
    """Answers in the order of the requests; `companion_run_id` is None if no request was run again."""

    run_id: str
    companion_run_id: str | None
    answers: list[EscalatedAnswer]

    @property
    def share(self) -> float:
        """Share of the requests that were run again."""
        return sum(answer.escalated for answer in self.answers) / max(1, len(self.answers))

    @property
    def flops_ratio(self) -> float:
        """Operations of all passes against those of the dense original."""
        return sum(a.flops for a in self.answers) / max(1, sum(a.flops_dense for a in self.answers))


def run_escalating(
    model: "RoutedModel",
    requests: Sequence[TextRequest],
    setting: Setting,
    rule: Escalation,
    sink: RoutingSink | None = None,
    **details: Any,
) -> EscalatedRun:
    """Answers all requests at `setting`, then runs again those that `rule` names. With a sink, both runs are logged,
    one after the other, and durable on return. `details`: source, actor, config of the first run.

    Raises InputError for a bad text, setting or rule, before anything runs; LogError if the log cannot be written.
    """
    checked = model.session(setting)
    Escalator(checked, rule)
    ready = checked.ready(requests)
    config = {"escalation": asdict(rule), **details.pop("config", {})}
    first = model.session(setting, sink, config=config, **details)
    escalator = Escalator(first, rule, lambda: sink)
    answers = escalator.finish(ready, first.answer_ready(ready))
    if sink is not None:
        sink.flush()
    return EscalatedRun(first.run.run_id, escalator.run_id, answers)

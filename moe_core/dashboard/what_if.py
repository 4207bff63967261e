"""Logged requests, answered again at another setting: which answers would change. Nothing of it is recorded."""

from dataclasses import dataclass, replace

import pandas as pd

from moe_core.analysis.interval import wilson
from moe_core.model.escalation import run_escalating
from moe_core.model.policy import Escalation, Policy, check_policy
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import TextRequest

MOST_TEXTS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class WhatIf:
    """changed: (request_id, text, logged, new, lead, tokens) one row per request whose label changed; `n` requests
    were tried, `run_again` of them twice; flops and flops_dense are sums over all passes."""

    changed: pd.DataFrame
    n: int
    run_again: int
    active_fraction: float
    flops: int
    flops_dense: int

    @property
    def share(self) -> float:
        return len(self.changed) / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the share of changed answers."""
        return wilson(len(self.changed), self.n)


def what_if(model: RoutedModel, logged: pd.DataFrame, policy: Policy, head: str) -> WhatIf:
    """logged (request_id, text, label): requests with text and label of `head`. Raises InputError where the model
    cannot follow the policy."""
    check_policy(policy, model)
    setting = replace(policy.setting(head=head, truncate=True), head=head)
    requests = [TextRequest(text=text) for text in logged["text"]]
    rule = policy.escalation or Escalation()  # a rule that nothing triggers
    answers = run_escalating(model, requests, setting, rule).answers
    rows = [
        {"request_id": row.request_id, "text": row.text, "logged": row.label, "new": answer.final.label,
         "lead": answer.final.lead, "tokens": answer.final.n_tokens}
        for row, answer in zip(logged.itertuples(), answers, strict=True)
        if answer.final.label != row.label
    ]  # fmt: skip
    tokens = sum(answer.first.n_tokens for answer in answers)
    return WhatIf(
        changed=pd.DataFrame(rows, columns=["request_id", "text", "logged", "new", "lead", "tokens"]),
        n=len(answers),
        run_again=sum(answer.escalated for answer in answers),
        active_fraction=sum(a.first.active_fraction * a.first.n_tokens for a in answers) / tokens if tokens else 0.0,
        flops=sum(answer.flops for answer in answers),
        flops_dense=sum(answer.flops_dense for answer in answers),
    )

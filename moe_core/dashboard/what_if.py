"""Logged requests, answered again at another setting: which answers would change. Nothing of it is recorded."""

from dataclasses import dataclass, replace

import pandas as pd

from moe_core.analysis.interval import wilson
from moe_core.model.policy import Policy, check_policy
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting, TextRequest

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
    answers = model.session(setting).answer(requests)
    final = list(answers)
    flops, again = sum(answer.flops for answer in answers), []
    if policy.escalation is not None:
        rule = policy.escalation
        again = [i for i, answer in enumerate(answers) if (answer.lead or 0.0) < rule.margin_below]
        second = Setting(mode=rule.mode, budget=rule.budget, head=head, truncate=True)
        for i, answer in zip(again, model.session(second).answer([requests[i] for i in again]), strict=True):
            final[i] = answer
            flops += answer.flops
    rows = [
        {"request_id": row.request_id, "text": row.text, "logged": row.label, "new": answer.label,
         "lead": answer.lead, "tokens": answer.n_tokens}
        for row, answer in zip(logged.itertuples(), final, strict=True)
        if answer.label != row.label
    ]  # fmt: skip
    tokens = sum(answer.n_tokens for answer in answers)
    return WhatIf(
        changed=pd.DataFrame(rows, columns=["request_id", "text", "logged", "new", "lead", "tokens"]),
        n=len(answers),
        run_again=len(again),
        active_fraction=sum(a.active_fraction * a.n_tokens for a in answers) / tokens if tokens else 0.0,
        flops=flops,
        flops_dense=sum(answer.flops_dense for answer in answers),
    )

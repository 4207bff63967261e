"""Why an expert of a Hugging Face MoE runs for a token: shares, removals, smallest change, in one call."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from moe_core.errors import InputError
from moe_core.explain.decision import LARGEST_ERROR, BudgetFlip, Contribution, DecisionExplanation, ExpertMargin, Flip
from moe_core.explain.hf_trace import HfTrace, RoutedLayer, trace_hf

RULE_UNKNOWN = (
    "The chosen experts are not those with the largest logits (groups, a selection bias or another rule), so neither "
    "removals nor a smallest change are given."
)

ALL_CHOSEN = "Every expert is chosen whatever the input."
SEVERAL = (
    "No change that makes two logits equal turns this decision: several experts would have to be passed at once, for "
    "which there is no closed form."
)


def explain_hf(
    model: Any, input_ids: Any, *, position: int, layer: int, expert_id: int | None = None, token: str = ""
) -> DecisionExplanation:
    """One decision of a causal MoE of `transformers` (float32, eval mode): `layer` counts decoder layers from 0.

    Without `expert_id` the closest call that runs. Margins are differences of logits: the expert's minus the k-th
    largest of the others. Raises InputError (position, layer, expert), AdapterError (another kind of model).
    """
    return explain_traced(trace_hf(model, input_ids), position=position, layer=layer, expert_id=expert_id, token=token)


def explain_traced(
    trace: HfTrace, *, position: int, layer: int, expert_id: int | None = None, token: str = ""
) -> DecisionExplanation:
    """`explain_hf` on a pass that was taken apart before: for many decisions of one text."""
    routed = _layer(trace, position, layer)
    router, n_experts = routed.router, routed.logits_TE.shape[1]
    if expert_id is not None and not 0 <= expert_id < n_experts:
        raise InputError(f"Layer {layer} has the experts 0 to {n_experts - 1}: there is no expert {expert_id}.")
    logged_E, ran = routed.logits_TE[position], set(routed.ids_TK[position].tolist())
    margins_E = router.margins(logged_E)
    chosen = expert_id if expert_id is not None else min(ran, key=lambda e: abs(margins_E[e]))
    parts_CD = np.stack([part.vectors_TD[position] for part in routed.parts])
    shares_CE, offset_E = router.shares_CE(parts_CD), router.offset_E
    rival = router.rival(logged_E, chosen)
    shares_C = shares_CE[:, chosen] - shares_CE[:, rival]
    offset = float(offset_E[chosen] - offset_E[rival])
    margin = float(logged_E[chosen] - logged_E[rival])
    span = max(float(np.ptp(logged_E)), 1e-12)
    error = abs(float(shares_C.sum()) + offset - margin) / span
    if not error <= LARGEST_ERROR:
        raise InputError(
            f"Layer {layer}, position {position}: the shares miss the margin by {error:.1e} of the range of the logits "
            f"(at most {LARGEST_ERROR:g} is allowed), so they are not shown."
        )
    without_C = router.margins(router.logits_without_CE(parts_CD))[:, chosen] if routed.exact else None
    contributions = [
        Contribution(
            kind=part.kind, layer=part.layer, index=part.index,
            contribution=float(share), log_contribution=float(share),
            margin_without=float(without_C[i]) if without_C is not None else None,
            runs_without=bool(without_C[i] > 0) if without_C is not None else None,
        )
        for i, (part, share) in enumerate(zip(routed.parts, shares_C, strict=True))
    ]  # fmt: skip
    if offset != 0.0:
        contributions.append(
            Contribution(kind="bias", layer=layer, index=None, contribution=offset, log_contribution=offset)
        )
    bf16_E = _in_bf16(routed, position)
    return DecisionExplanation(
        request_id=None, position=position, layer=layer, token=token, rule="top-k",
        expert_id=chosen, rival_id=rival, runs=chosen in ran, margin=margin, log_margin=margin,
        experts=tuple(_expert(routed, position, e, margins_E, bf16_E) for e in range(n_experts)),
        contributions=tuple(sorted(contributions, key=lambda c: -abs(c.contribution))),
        completeness_error=error,
        flip=_flip(routed, position, expert_id),
        budget_flip=_budget_flip(routed, logged_E, chosen),
        stable_in_bf16=bool((chosen in ran) == (bf16_E[chosen] > 0)),
        method="exact" if routed.exact else "direct effect, frozen norm",
        notes=() if routed.exact else (RULE_UNKNOWN,),
    )  # fmt: skip


def _layer(trace: HfTrace, position: int, layer: int) -> RoutedLayer:
    if layer in trace.dense:
        raise InputError(f"Layer {layer} of this model is dense: it has no router, so nothing was decided there.")
    if layer not in trace.layers:
        known = ", ".join(map(str, trace.layers))
        raise InputError(f"There is no layer {layer}: the routed layers are {known}.")
    if not 0 <= position < trace.n_tokens:
        raise InputError(f"The text has the positions 0 to {trace.n_tokens - 1}: there is no position {position}.")
    return trace.layers[layer]


def _expert(
    routed: RoutedLayer, position: int, expert: int, margins_E: NDArray[np.float64], bf16_E: NDArray[np.float64]
) -> ExpertMargin:
    ids_K = routed.ids_TK[position].tolist()
    logit, margin = float(routed.logits_TE[position, expert]), float(margins_E[expert])
    weight = float(routed.weights_TK[position, ids_K.index(expert)]) if expert in ids_K else 0.0
    return ExpertMargin(
        expert_id=expert, logit=logit, score=logit, threshold=logit - margin, margin=margin, log_margin=margin,
        runs=expert in ids_K, gate_weight=weight, bf16_runs=bool(bf16_E[expert] > 0),
    )  # fmt: skip


def _in_bf16(routed: RoutedLayer, position: int) -> NDArray[np.float64]:
    """margins_E where the router's input and weights are rounded to bfloat16."""
    router, x_D = routed.router, routed.input_TD[position]
    normed_D = router.gamma_D * router.project(x_D) / router.scale(x_D) + router.beta_D
    rounded = torch.from_numpy(normed_D).bfloat16().double().numpy()
    weight_ED = torch.from_numpy(router.weight_ED).bfloat16().double().numpy()
    return router.margins(weight_ED @ rounded + router.bias_E)


def _flip(routed: RoutedLayer, position: int, asked: int | None) -> Flip:
    """For the expert that was asked for; without one, for the set of chosen experts."""
    if not routed.exact:
        return Flip(distance=None, relative=None, closed_form=False, reason=RULE_UNKNOWN)
    x_D, leaves, enters = routed.input_TD[position], None, None
    if asked is not None:
        change_D = routed.router.smallest_change(x_D, asked)
    elif found := routed.router.smallest_set_change(x_D):
        change_D, leaves, enters = found
    else:
        change_D = None
    if change_D is None:
        reason = ALL_CHOSEN if asked is None else SEVERAL
        return Flip(distance=None, relative=None, closed_form=False, reason=reason)
    distance = float(np.linalg.norm(change_D))
    relative = distance / float(np.linalg.norm(x_D))
    return Flip(distance=distance, relative=relative, closed_form=True, leaves=leaves, enters=enters)


def _budget_flip(routed: RoutedLayer, logits_E: NDArray[np.float64], expert: int) -> BudgetFlip:
    """The number of experts nearest to k at which the expert is chosen or not, as a share of all experts."""
    if not routed.exact:
        return BudgetFlip(budget=None, threshold=None)
    rank = int((logits_E > logits_E[expert]).sum())
    n_chosen = rank if rank < routed.router.top_k else rank + 1
    return BudgetFlip(budget=n_chosen / len(logits_E) if n_chosen else None, threshold=None)

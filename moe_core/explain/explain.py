"""`explain_decision`: why one expert ran, or did not, for one token in one layer of the reference model.

Its counterpart for Hugging Face models, `explain_hf`, is offered here too.
"""

from dataclasses import replace

import numpy as np
import torch

from moe_core.errors import CaptureError, InputError
from moe_core.explain.attribution import Shares, shares
from moe_core.explain.budgets import flip_alone, flip_by_rerun
from moe_core.explain.components import Array, Path
from moe_core.explain.decision import LARGEST_ERROR, Contribution, DecisionExplanation, ExpertMargin
from moe_core.explain.flips import flip_of_input, flip_of_linear
from moe_core.explain.hf import explain_hf
from moe_core.explain.reference_components import path_to_router, rule_of, run_layers
from moe_core.explain.rules import Rule, ThresholdRule, TopKRule
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting
from moe_core.model.router import Router, Routing
from moe_core.model.session import Session
from moe_core.model.split import expert_layers
from moe_core.model.tokens import TokenizedText

__all__ = ["completeness_error", "contributions", "explain_decision", "explain_hf"]



def explain_decision(
    model: RoutedModel, tokens_or_text: str | TokenizedText, setting: Setting, *, position: int, layer: int,
    expert_id: int | None = None, request_id: str | None = None, reruns: bool = False,
) -> DecisionExplanation:  # fmt: skip
    """Takes one decision apart (`docs/explanations.md`). Without `expert_id`: the closest call of the layer, which is
    never the strongest expert. `reruns`: also look for the budget that turns it by running the text again.

    Raises InputError where nothing is decided (dense mode, every expert runs) or something is out of range, and
    CaptureError where the parts do not add up to what the router said.
    """
    session = model.session(replace(setting, head=None))
    tokens = _tokens(model, tokens_or_text, setting)
    _check(session, tokens, position, layer, expert_id)
    routed = run_layers(model, session, tokens.ids, layer + 1)
    rule, routing = rule_of(session, layer), routed.routings[layer]
    path = path_to_router(model, routed, position, layer)
    apart = path.taken_apart()
    logits_E = path.reader.logits(apart.input_D[None])[0]
    logged_E = routing.logits_TE[position].numpy().astype(np.float64)
    expert = rule.closest(logits_E) if expert_id is None else expert_id
    rival = rule.rival(logits_E, expert)
    compared = rule.compare(logits_E[None])
    experts = _experts(rule, routing, position, layer, model, apart.input_D)
    found = shares(apart, path.reader, rule, compared, expert, rival)
    own = experts[expert]
    error = completeness_error(found, own.margin, logits_E, logged_E, [each.score for each in experts])
    if bool(compared.runs_NE[0, expert]) != own.runs:
        raise CaptureError(f"Expert {expert} of layer {layer} is so close to its boundary that rounding decides.")
    if not error <= LARGEST_ERROR:
        raise CaptureError(
            f"The parts of expert {expert} in layer {layer} miss its margin by {error:.1e} of the range of the scores; "
            f"above {LARGEST_ERROR:g} nothing is explained: check the model's weights."
        )
    hidden_R, outer_ER = _hidden(path, apart.input_D)
    turned = flip_alone(session, rule, logits_E, layer, expert)
    if reruns:
        turned = flip_by_rerun(session, tokens.ids, position, layer, expert, runs=own.runs, alone=turned)
    return DecisionExplanation(
        request_id=request_id, position=position, layer=layer, token=tokens.pieces[position],
        rule="top-k" if isinstance(rule, TopKRule) else "threshold", expert_id=expert, rival_id=rival, runs=own.runs,
        margin=own.margin, log_margin=own.log_margin, experts=experts,
        contributions=contributions(found, path, rule, expert), completeness_error=error,
        flip=flip_of_input(path.stages[-1].norm, path.reader, apart.before_D, rule, expert)[0],
        budget_flip=turned, stable_in_bf16=own.bf16_runs == own.runs,
        flip_hidden=flip_of_linear(outer_ER, hidden_R, logits_E, rule, expert),
        flip_logits=flip_of_linear(np.eye(len(logits_E)), logits_E, logits_E, rule, expert),
        notes=_notes(rule, own, bool(routing.floor_T[position]), found),
    )  # fmt: skip


def completeness_error(
    found: Shares, margin: float, logits_E: Array, logged_E: Array, scores: list[float]
) -> float:
    """How far the parts are from what the router said: of the margin as a share of the range of the scores, or of the
    worst logit as a share of the range of the logits, whichever is larger."""
    by_margin = abs(float(found.margins_C.sum()) - margin) / (max(scores) - min(scores))
    return float(max(by_margin, np.abs(logits_E - logged_E).max() / np.ptp(logged_E)))


def contributions(found: Shares, path: Path, rule: Rule, expert: int) -> tuple[Contribution, ...]:
    """Every part with its share and, unless it is a constant, the decision without it; largest share first."""
    parts, logits_NE = path.without_each()
    compared = rule.compare(logits_NE)
    margins_N = compared.scores_NE[:, expert] - compared.thresholds_NE[:, expert]
    without = {p: (float(m), bool(r)) for p, m, r in zip(parts, margins_N, compared.runs_NE[:, expert], strict=True)}
    rows = [
        Contribution(
            kind=part.kind, layer=part.layer, index=part.index, contribution=float(share), log_contribution=float(log),
            margin_without=without.get(part, (None, None))[0], runs_without=without.get(part, (None, None))[1],
        )
        for part, share, log in zip(found.parts, found.margins_C, found.logs_C, strict=True)
    ]  # fmt: skip
    return tuple(sorted(rows, key=lambda row: -abs(row.contribution)))


def _tokens(model: RoutedModel, given: str | TokenizedText, setting: Setting) -> TokenizedText:
    return given if isinstance(given, TokenizedText) else model.tokenizer.encode([given], truncate=setting.truncate)[0]


def _check(session: Session, tokens: TokenizedText, position: int, layer: int, expert_id: int | None) -> None:
    sizes, setting = session.model.config, session.setting
    if setting.mode == "dense":
        raise InputError("Dense mode runs the original, which decides nothing: explain a run in adaptive or topk mode.")
    if not 0 <= layer < sizes.n_layers:
        raise InputError(f"There is no layer {layer}: this model has the layers 0 to {sizes.n_layers - 1}.")
    if not 0 <= position < len(tokens.ids):
        raise InputError(f"There is no position {position}: this text has the positions 0 to {len(tokens.ids) - 1}.")
    if expert_id is not None and not 0 <= expert_id < sizes.n_experts:
        raise InputError(f"There is no expert {expert_id}: each layer has the experts 0 to {sizes.n_experts - 1}.")
    available = session.available[layer]
    left = sizes.n_experts if available is None else int(available.sum())
    if setting.mode == "topk":
        if session.top_k >= left:
            raise InputError(f"All {left} experts of layer {layer} run: nothing is decided, ask at a smaller budget.")
    elif float(session.thresholds[layer].values_E.min()) <= 0:
        raise InputError(f"The threshold of layer {layer} is 0, so every expert runs: ask at a smaller budget.")
    if left == 1:
        raise InputError(f"Layer {layer} has one expert left, which always runs: nothing is decided.")


def _experts(
    rule: Rule, routing: Routing, position: int, layer: int, model: RoutedModel, input_D: Array
) -> tuple[ExpertMargin, ...]:
    """All experts as the model decided, with what bfloat16 would decide."""
    logits_E = routing.logits_TE[position].numpy().astype(np.float64)
    scores_E = routing.scores_TE[position].numpy().astype(np.float64)
    compared = rule.compare(logits_E[None])
    gates_E = routing.gates_TE[position].numpy()
    bf16_E = rule.compare(_bf16_logits(expert_layers(model.adapted)[layer].router, input_D)).runs_NE[0]
    thresholds_E = compared.thresholds_NE[0]
    return tuple(
        ExpertMargin(
            expert_id=e, logit=float(logits_E[e]), score=float(scores_E[e]), threshold=float(thresholds_E[e]),
            margin=float(scores_E[e] - thresholds_E[e]), log_margin=float(np.log(scores_E[e] / thresholds_E[e])),
            runs=bool(gates_E[e] > 0), gate_weight=float(gates_E[e]), bf16_runs=bool(bf16_E[e]),
        )
        for e in range(len(logits_E))
    )  # fmt: skip


def _bf16_logits(router: Router, input_D: Array) -> Array:
    """The router on its input with both, and its weights, rounded to bfloat16; products in float32. Shape (1, E)."""

    def rounded(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(torch.bfloat16).float()

    with torch.inference_mode():
        x_TD = rounded(torch.from_numpy(input_D)[None])
        hidden_TR = torch.nn.functional.gelu(x_TD @ rounded(router.inner.weight).T + rounded(router.inner.bias))
        logits_TE = hidden_TR @ rounded(router.outer.weight).T + rounded(router.outer.bias)
    return logits_TE.numpy().astype(np.float64)


def _hidden(path: Path, input_D: Array) -> tuple[Array, Array]:
    """(hidden_R, outer_ER) of the router: the values that the logits are a linear map of."""
    reader = path.reader
    inner_R = reader.inner_RD @ input_D + reader.inner_R
    if reader.outer_ER is None:
        return inner_R, np.eye(len(inner_R))
    plain = replace(reader, outer_ER=np.eye(len(inner_R)), outer_E=np.zeros(len(inner_R)))
    return plain.from_inner(inner_R), reader.outer_ER


def _notes(rule: Rule, own: ExpertMargin, floor: bool, found: Shares) -> tuple[str, ...]:
    notes = ["Shares of the margin with norms and gates frozen; later heads and experts are held as they were."]
    if isinstance(rule, ThresholdRule) and own.runs and own.margin <= 0 and floor:
        notes.append("It did not pass its threshold and ran because the expert with the largest margin always runs.")
    if any(part.kind == "cap" for part in found.parts):
        notes.append("Its score is cut off at 1: the bar named cap takes back its lead over the next expert.")
    if not rule.available_E[own.expert_id]:
        notes.append("It was lost, so it cannot run whatever its margin is.")
    return tuple(notes)

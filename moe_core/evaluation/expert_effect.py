"""Answers texts with experts masked, one set at a time: flagged ones, load-matched controls, and groups of them.

A masked expert is unavailable: it cannot run, whoever passes the threshold runs instead, and its output is replaced by
its mean output, as for every idle expert of this model. Layers before it compute what they did before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moe_core.analysis.expert_effect import (
    CONTROL,
    FLAGGED,
    GROUP,
    GROUP_CONTROL,
    Answers,
    EffectFrame,
    Expert,
    Masked,
    effects,
    matched_controls,
    matched_groups,
)
from moe_core.errors import InputError
from moe_core.evaluation import arms
from moe_core.evaluation.lost_experts import embedded_without
from moe_core.model.heads import Head
from moe_core.model.lost_experts import check_unavailable
from moe_core.model.reference import RoutedModel

MAX_TOKENS = 192


@dataclass(frozen=True, kw_only=True, slots=True)
class EffectPlan:
    """`controls`: load-matched experts for each flagged one; `groups`: sets of controls against the group of all."""

    head: str
    favourable: str
    budget: float = 0.5
    controls: int = 12
    groups: int = 20
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertEffects:
    """rows: see `analysis.expert_effect.effects`; gap: whole model, favourable answers in the group minus the others,
    in points; n_group, n_others: texts; same_layer: controls that stand in the layer of a flagged expert."""

    rows: EffectFrame
    gap: float
    quality: float | None
    n_group: int
    n_others: int
    n_controls: int
    same_layer: int


def measure_effects(
    model: RoutedModel,
    texts: Sequence[str],
    labels: Sequence[str | None],
    in_group_N: NDArray[np.bool_],
    flagged: Sequence[Expert],
    plan: EffectPlan,
    progress: Callable[[str], None] = lambda line: None,
) -> ExpertEffects:
    """Masks each flagged expert, all of them together, and the controls of both.

    Raises InputError for an expert, head, label or budget that the model does not have; AuditError as `effects`.
    """
    sizes, head = model.config, model.head(plan.head)
    if plan.favourable not in head.card.labels:
        raise InputError(
            f"Head {plan.head!r} has no label {plan.favourable!r}: use one of {', '.join(head.card.labels)}."
        )
    if not flagged:
        raise InputError("There is no expert to mask: give --expert LAYER:EXPERT or an audit that flags one.")
    check_unavailable(flagged, sizes.n_layers, sizes.n_experts)
    ids = arms.tokenize(model, texts, MAX_TOKENS)
    load_LE = arms.embed(model, ids, model.route(plan.budget)).counts_LE
    controls = [matched_controls(load_LE, expert, flagged, plan.controls) for expert in flagged]
    sets: dict[tuple[Expert, ...], str] = {(expert,): FLAGGED for expert in flagged}
    sets |= {(expert,): CONTROL for each in controls for expert in each}
    if len(flagged) > 1:
        sets[tuple(sorted(flagged))] = GROUP
        layers = [expert[0] for expert in flagged]
        for chosen in matched_groups(controls, layers, sizes.n_experts, plan.groups, plan.seed):
            sets.setdefault(chosen, GROUP_CONTROL)
    whole, masked = _answers(model, ids, labels, head, plan, list(sets), progress)
    rows = effects(
        whole,
        [Masked(sets[e], e, int(sum(load_LE[x] for x in e)), masked[e]) for e in sets],
        in_group_N,
        seed=plan.seed,
        own=dict(zip(flagged, controls, strict=True)),
    )
    return ExpertEffects(
        rows=rows,
        gap=float(rows["gap"].iloc[0]),
        quality=None if whole.right_N is None else float(whole.right_N.mean()),
        n_group=int(in_group_N.sum()),
        n_others=int((~in_group_N).sum()),
        n_controls=sum(kind == CONTROL for kind in sets.values()),
        same_layer=sum(kind == CONTROL and e[0][0] in {x[0] for x in flagged} for e, kind in sets.items()),
    )


@torch.inference_mode()
def _answers(
    model: RoutedModel,
    ids: Sequence[Sequence[int]],
    labels: Sequence[str | None],
    head: Head,
    plan: EffectPlan,
    sets: Sequence[tuple[Expert, ...]],
    progress: Callable[[str], None],
) -> tuple[Answers, dict[tuple[Expert, ...], Answers]]:
    probs = {e: np.zeros((len(ids), len(head.card.labels))) for e in [(), *sets]}
    n_batches = len(arms.batches(ids))
    for number, (chunk, whole_BD, without) in enumerate(embedded_without(model, ids, plan.budget, sets), start=1):
        probs[()][chunk] = _probabilities(head, whole_BD)
        for experts, embedded_BD in without:
            probs[experts][chunk] = _probabilities(head, embedded_BD)
        progress(f"{number} of {n_batches} batches, {len(sets)} masked sets each")
    answers = {e: _read(values, labels, head, plan.favourable) for e, values in probs.items()}
    return answers.pop(()), answers


def _probabilities(head: Head, embeddings_BD: Tensor) -> NDArray[np.float64]:
    return head.probabilities(embeddings_BD).numpy().astype(np.float64)


def _read(probs_NC: NDArray[np.float64], labels: Sequence[str | None], head: Head, favourable: str) -> Answers:
    place, names = head.card.labels.index(favourable), np.asarray(head.card.labels)
    best_N = probs_NC.argmax(axis=1)
    right_N = None if any(label is None for label in labels) else names[best_N] == np.asarray(labels)
    return Answers(best_N == place, probs_NC[:, place], right_N)

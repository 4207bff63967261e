"""What breaks when experts are lost: single ones and pairs, masked at run time.

Two steps, because the worst of a hundred losses measured on one sample is mostly the luckless one. Every loss is
screened on a few texts. The few that moved the embeddings most, and the one that lost most points, are then measured on
other texts; the worst of these is what is reported. Layers before the lost expert compute what they did before, so they
are not run again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moe_core.evaluation import arms
from moe_core.evaluation.labelled import LabelledTexts
from moe_core.evaluation.statistics import paired_points
from moe_core.model.encoder import EncoderLayer, PackedTexts, RouteLayer, pack, pool
from moe_core.model.lost_experts import Expert, available_LE, expert_name
from moe_core.model.reference import RoutedModel

Lost = tuple[Expert, ...]
BOUND = 0.5  # points that a lost expert may cost; two may cost twice as much


@dataclass(frozen=True, kw_only=True, slots=True)
class LossPlan:
    """Which losses are tried at which budget: `singles` experts (all, if there are fewer) and `pairs`, half of them
    within one layer; screened on `screen_tokens` tokens a task, the `confirm` most harmful measured on other texts."""

    budget: float = 0.35
    singles: int = 96
    pairs: int = 24
    screen_tokens: int = 2000
    confirm: int = 3
    seed: int = 3


def sets_of_lost(n_layers: int, n_experts: int, plan: LossPlan) -> list[Lost]:
    """Single experts first, then pairs; nothing twice."""
    rng = np.random.default_rng(plan.seed)
    every = [(layer, expert) for layer in range(n_layers) for expert in range(n_experts)]
    chosen = sorted(rng.permutation(len(every))[: plan.singles].tolist())
    result: list[Lost] = [(every[i],) for i in chosen]
    within = [(a, b) for a in every for b in every if a < b and a[0] == b[0]]
    across = [(a, b) for a in every for b in every if a < b and a[0] != b[0]]
    for kind, n in ((within, plan.pairs // 2), (across, plan.pairs - plan.pairs // 2)):
        result += [kind[i] for i in sorted(rng.permutation(len(kind))[:n].tolist())]
    return result


def measure_lost(
    model: RoutedModel, tasks: Mapping[str, tuple[LabelledTexts, Sequence[Sequence[int]]]], plan: LossPlan
) -> dict[str, Any]:
    """Per task, for single experts and for pairs: mean points over all that were screened, and the worst that was
    confirmed, with its interval. Points are against the whole model at the same budget."""
    sizes = model.config
    lost = sets_of_lost(sizes.n_layers, sizes.n_experts, plan)
    result: dict[str, Any] = {"budget": plan.budget, "single": [], "pair": []}
    for name, (data, ids) in tasks.items():
        right = np.asarray(data.labels)
        cut = _screened(ids, plan.screen_tokens)
        screened = _run(model, name, ids[:cut], right[:cut], plan.budget, lost)
        for size, key in ((1, "single"), (2, "pair")):
            of_size = [experts for experts in lost if len(experts) == size]
            if not of_size:
                continue
            points = {e: paired_points(screened.right[e], screened.whole_right)[0] for e in of_size}
            by_effect = sorted(of_size, key=lambda experts: screened.cosine[experts])[: plan.confirm]
            suspects = list(dict.fromkeys([*by_effect, min(of_size, key=lambda experts: points[experts])]))
            measured = _run(model, name, ids[cut:], right[cut:], plan.budget, suspects)
            found = {e: paired_points(measured.right[e], measured.whole_right) for e in suspects}
            worst = min(suspects, key=lambda experts: found[experts][0])
            delta, low, high = found[worst]
            result[key].append(
                {
                    "task": name, "n": len(ids) - cut, "tried": len(of_size), "confirmed": len(suspects),
                    "worst": [expert_name(expert) for expert in worst],
                    "worst_points": delta, "worst_low": low, "worst_high": high,
                    "n_screened": cut, "mean_points": float(np.mean(list(points.values()))),
                    "screened_worst_points": min(points.values()),
                }
            )  # fmt: skip
    return result


@dataclass(frozen=True, slots=True)
class _Effects:
    """Right answers of the whole model and of each loss; mean cosine of embeddings with and without the loss."""

    whole_right: NDArray[np.bool_]
    right: dict[Lost, NDArray[np.bool_]]
    cosine: dict[Lost, float]


@torch.inference_mode()
def _run(
    model: RoutedModel,
    head_name: str,
    ids: Sequence[Sequence[int]],
    right_N: NDArray[np.str_],
    budget: float,
    lost: Sequence[Lost],
) -> _Effects:
    head = model.head(head_name)
    whole_right = np.zeros(len(ids), dtype=np.bool_)
    right = {experts: np.zeros(len(ids), dtype=np.bool_) for experts in lost}
    cosine = dict.fromkeys(lost, 0.0)
    for chunk, whole_BD, without in embedded_without(model, ids, budget, lost):
        whole_right[chunk] = np.asarray(head.answer(whole_BD)[0]) == right_N[chunk]
        for experts, embedded_BD in without:
            right[experts][chunk] = np.asarray(head.answer(embedded_BD)[0]) == right_N[chunk]
            cosine[experts] += float((embedded_BD * whole_BD).sum()) / len(ids)
    return _Effects(whole_right, right, cosine)


def embedded_without(
    model: RoutedModel, ids: Sequence[Sequence[int]], budget: float, lost: Sequence[Lost]
) -> Iterator[tuple[list[int], Tensor, Iterator[tuple[Lost, Tensor]]]]:
    """Batch by batch: which texts, their embeddings_BD, and the embeddings_BD without each set of experts.

    Layers before a lost expert are computed once for all sets. Use it in inference mode, each batch before the next.
    """
    sizes = model.config
    whole_route = model.route(budget)
    routes = {e: model.route(budget, available_LE(e, sizes.n_layers, sizes.n_experts)) for e in lost}
    starts = {e: min(layer for layer, _ in e) for e in lost}
    for chunk in arms.batches(ids):
        packed = pack([ids[i] for i in chunk])
        states = hidden_states(model, packed, model.adapted.embeddings(packed), whole_route, 0)
        without = (
            (e, pool(hidden_states(model, packed, states[starts[e]], route, starts[e])[-1], packed))
            for e, route in routes.items()
        )
        yield chunk, pool(states[-1], packed), without


def hidden_states(model: RoutedModel, packed: PackedTexts, x_TD: Tensor, route: RouteLayer, start: int) -> list[Tensor]:
    """x_TD, the input of layer `start`, followed by the output of that and every later layer."""
    states = [x_TD]
    for index in range(start, model.config.n_layers):
        layer = model.adapted.layers[index]
        assert isinstance(layer, EncoderLayer)
        states.append(layer.routed(index, states[-1], packed.groups, route)[0])
    return states


def _screened(ids: Sequence[Sequence[int]], screen_tokens: int) -> int:
    """How many of the first texts are for screening: `screen_tokens` tokens, at most half of the texts."""
    sums = np.cumsum([len(row) for row in ids])
    return max(1, min(len(ids) // 2, int(np.searchsorted(sums, screen_tokens, side="right"))))

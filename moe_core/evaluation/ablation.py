"""What breaks without each expert: every one is taken out in turn, on the test texts of the heads of a model.

Two ways. `mean`: its output is replaced by its mean output and nobody else's choice in its layer changes. `failover`:
it is lost as on a failed machine (`model/lost_experts.py`): its mean output stands in for it too, and where it was the
strongest the model runs more of the others. Later layers route by what they then read. Layers before the expert compute
what they did before, so they are not run again.

Texts come in shards, one of every task in turn. What a shard adds is a handful of counts per expert, so that a stopped
measurement goes on where it stopped, and a longer one adds to a shorter one.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moe_core.evaluation import arms
from moe_core.evaluation.labelled import LabelledTexts
from moe_core.evaluation.lost_experts import hidden_states
from moe_core.model.ablation_file import FORMAT
from moe_core.model.encoder import EncoderLayer, PackedTexts, RouteLayer, pack, pool
from moe_core.model.heads import Head
from moe_core.model.layers import ExpertFeedForward
from moe_core.model.lost_experts import available_LE
from moe_core.model.reference import RoutedModel
from moe_core.model.router import Routing

WAYS = ("mean", "failover")


@dataclass(frozen=True, kw_only=True, slots=True)
class AblationPlan:
    """Texts cut at `max_tokens`, in an order drawn with `seed`; shards of about `shard_tokens` tokens of one task, at
    most `task_tokens` tokens of each."""

    budget: float = 0.5
    max_tokens: int = 192
    shard_tokens: int = 4000
    task_tokens: int = 40_000
    seed: int = 0


def begin(model: RoutedModel, plan: AblationPlan) -> dict[str, Any]:
    """An empty document: what `measure` adds to."""
    sizes = model.config
    return {
        "format": FORMAT, "model": model.name, "model_sha256": model.sha256, "budget": plan.budget,
        "max_tokens": plan.max_tokens, "shard_tokens": plan.shard_tokens, "seed": plan.seed,
        "n_layers": sizes.n_layers, "n_experts": sizes.n_experts, "tasks": [],
    }  # fmt: skip


def continues(document: Mapping[str, Any], model: RoutedModel, plan: AblationPlan) -> bool:
    """Whether `document` was measured on this model in the same way, so that more can be added to it."""
    empty = begin(model, plan)
    return all(document.get(key) == value for key, value in empty.items() if key != "tasks")


def save(path: Path, document: Mapping[str, Any]) -> None:
    """Writes the document in one step: a reader sees the old one or the new one."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")
    os.replace(part, path)


@torch.inference_mode()
def measure(
    model: RoutedModel, tasks: Mapping[str, LabelledTexts], plan: AblationPlan, document: dict[str, Any],
    progress: Callable[[str], None] = lambda line: None,
) -> Iterator[dict[str, Any]]:
    """Yields `document` after every shard that was added to it.

    An entry of `tasks`: name, n texts, n_tokens, shards, same and right (texts of the whole sparse model that agree
    with the dense original, and that are right), load_LE (tokens for which each expert ran), and for each way four
    tables by layer and expert: gained and lost agreements, gained and lost right answers (texts), and the sum and
    sum of squares over texts of the change, in points, of the probability of the dense original's answer.
    """
    shards = {name: _shards(model, data.shuffled(plan.seed), plan) for name, data in tasks.items()}
    total = sum(len(each) for each in shards.values())
    done = {entry["name"]: int(entry["shards"]) for entry in document["tasks"]}
    for number in range(max(map(len, shards.values()), default=0)):
        for name, of_task in shards.items():
            if done.get(name, 0) <= number < len(of_task):
                labels, ids = of_task[number]
                _add(document, name, _shard(model, model.head(name), labels, ids, plan.budget))
                progress(f"{name}: shard {number + 1} of {len(of_task)} ({total} in all)")
                yield document


def _shards(
    model: RoutedModel, data: LabelledTexts, plan: AblationPlan
) -> list[tuple[list[str], list[list[int]]]]:
    """Consecutive texts of about `shard_tokens` tokens together, at most `task_tokens` in all: (labels, token ids)."""
    result: list[tuple[list[str], list[list[int]]]] = []
    used, of_shard = 0, plan.shard_tokens
    for start in range(0, len(data), 64):
        part = range(start, min(start + 64, len(data)))
        rows = arms.tokenize(model, [data.texts[i] for i in part], plan.max_tokens)
        for index, row in zip(part, rows, strict=True):
            if used + len(row) > plan.task_tokens:
                return result
            if of_shard + len(row) > plan.shard_tokens:
                result.append(([], []))
                of_shard = 0
            result[-1][0].append(data.labels[index])
            result[-1][1].append(row)
            used, of_shard = used + len(row), of_shard + len(row)
    return result


TABLES = ("same_gained", "same_lost", "right_gained", "right_lost", "moved_sum", "moved_squares")


def _shard(
    model: RoutedModel, head: Head, labels: Sequence[str], ids: Sequence[Sequence[int]], budget: float
) -> dict[str, Any]:
    """What one shard adds to an entry of `tasks`."""
    sizes = model.config
    shape, packed, names = (sizes.n_layers, sizes.n_experts), pack(ids), np.asarray(head.card.labels)
    right_N = np.asarray(labels)
    dense_N = head.probabilities(pool(model.dense(packed, None)[0], packed)).numpy().argmax(axis=1)
    route, x_TD, layers = model.route(budget), model.adapted.embeddings(packed), []
    for index in range(sizes.n_layers):
        layers.append(whole_layer(model, index, x_TD, packed, route))
        x_TD = layers[-1].output_TD
    whole_NC = _probabilities(head, x_TD, packed)
    same_N, is_right_N = whole_NC.argmax(axis=1) == dense_N, names[whole_NC.argmax(axis=1)] == right_N
    tables = {way: {key: np.zeros(shape) for key in TABLES} for way in WAYS}
    for layer, whole in enumerate(layers):
        for expert in range(sizes.n_experts):
            before_TE, before_NC = whole.routing.gates_TE, whole_NC
            for way in WAYS:
                gates_TE = _lost(model, budget, way, layer, expert, whole)
                without_NC = before_NC.copy()
                chosen, sub, hidden_TD = without(model, layer, whole, gates_TE, before_TE, ids)
                if chosen:
                    last_TD = hidden_states(model, sub, hidden_TD, route, layer + 1)[-1]
                    without_NC[chosen] = _probabilities(head, last_TD, sub)
                _count(tables[way], (layer, expert), whole_NC, without_NC, dense_N, names, right_N)
                before_TE, before_NC = gates_TE, without_NC
    return {
        "n": len(ids), "n_tokens": sum(map(len, ids)), "same": int(same_N.sum()), "right": int(is_right_N.sum()),
        "dense_right": int((names[dense_N] == right_N).sum()),
        "load_LE": np.stack([(each.routing.gates_TE > 0).sum(dim=0).numpy() for each in layers]), **tables,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class WholeLayer:
    """One layer of the whole model: input of its feed-forward block and its router, their output, its own output."""

    attended_TD: Tensor
    routing: Routing
    routed_TD: Tensor
    output_TD: Tensor


def whole_layer(model: RoutedModel, index: int, x_TD: Tensor, packed: PackedTexts, route: RouteLayer) -> WholeLayer:
    """Layer `index` with everybody in place."""
    layer, ffn = _parts(model, index)
    a_TD = layer.attend(x_TD, packed.groups)
    routing = route(index, ffn.router(a_TD))
    y_TD = ffn.forward_routed(a_TD, routing)
    return WholeLayer(a_TD, routing, y_TD, layer.ffn_norm(a_TD + y_TD))


def without(
    model: RoutedModel, index: int, whole: WholeLayer, gates_TE: Tensor, before_TE: Tensor, ids: Sequence[Sequence[int]]
) -> tuple[list[int], PackedTexts, Tensor]:
    """(texts in which `gates_TE` differs from `before_TE`, these texts packed, their output_TD of layer
    `index` under `gates_TE`). Tokens whose gates are those of the whole model keep its numbers there."""
    layer, ffn = _parts(model, index)
    packed = pack(ids)
    text_T = torch.repeat_interleave(torch.arange(len(ids)), torch.tensor(packed.lengths_B))
    changed_B = torch.zeros(len(ids), dtype=torch.bool)
    changed_B[text_T[(gates_TE != before_TE).any(dim=1)]] = True
    places = changed_B.nonzero().flatten().tolist()
    chosen = [packed.order_B[place] for place in places]
    if not chosen:
        return [], packed, whole.output_TD[:0]
    kept_T = changed_B[text_T]
    sub = pack([ids[text] for text in chosen])  # sorted already: order_B is 0, 1, 2...
    a_TD, y_TD, new_TE = whole.attended_TD[kept_T], whole.routed_TD[kept_T].clone(), gates_TE[kept_T]
    rows_T = (new_TE != whole.routing.gates_TE[kept_T]).any(dim=1)
    if bool(rows_T.any()):
        y_TD[rows_T] = ffn.forward_routed(a_TD[rows_T], replace(whole.routing, gates_TE=new_TE[rows_T]))
    return chosen, sub, layer.ffn_norm(a_TD + y_TD)


def _parts(model: RoutedModel, index: int) -> tuple[EncoderLayer, ExpertFeedForward]:
    layer = model.adapted.layers[index]
    assert isinstance(layer, EncoderLayer)
    assert isinstance(layer.ffn, ExpertFeedForward)
    return layer, layer.ffn


def _probabilities(head: Head, hidden_TD: Tensor, packed: PackedTexts) -> NDArray[np.float64]:
    return head.probabilities(pool(hidden_TD, packed)).numpy().astype(np.float64)


def _count(
    tables: dict[str, NDArray[np.float64]], at: tuple[int, int], whole_NC: NDArray[np.float64],
    without_NC: NDArray[np.float64], dense_N: NDArray[np.int64], names: NDArray[np.str_], right_N: NDArray[np.str_],
) -> None:  # fmt: skip
    """Writes the six figures of one expert into `tables`."""
    whole_N, lost_N = whole_NC.argmax(axis=1), without_NC.argmax(axis=1)
    moved_N = 100 * (without_NC - whole_NC)[np.arange(len(dense_N)), dense_N]
    for key, before_N, after_N in (
        ("same", whole_N == dense_N, lost_N == dense_N),
        ("right", names[whole_N] == right_N, names[lost_N] == right_N),
    ):
        tables[f"{key}_gained"][at] = (after_N & ~before_N).sum()
        tables[f"{key}_lost"][at] = (before_N & ~after_N).sum()
    tables["moved_sum"][at], tables["moved_squares"][at] = moved_N.sum(), (moved_N**2).sum()


def _lost(model: RoutedModel, budget: float, way: str, layer: int, expert: int, whole: WholeLayer) -> Tensor:
    """gates_TE of the layer with one expert taken out in one of the two ways."""
    if way == "failover":
        sizes = model.config
        route = model.route(budget, available_LE([(layer, expert)], sizes.n_layers, sizes.n_experts))
        return route(layer, whole.routing.logits_TE).gates_TE
    gates_TE = whole.routing.gates_TE.clone()
    gates_TE[:, expert] = 0
    return gates_TE


def _add(document: dict[str, Any], name: str, shard: Mapping[str, Any]) -> None:
    """Adds a shard's counts to the task's entry, which is made if there is none."""
    entry = next((each for each in document["tasks"] if each["name"] == name), None)
    if entry is None:
        entry = {"name": name, "shards": 0}
        document["tasks"].append(entry)
    entry["shards"] += 1
    for key, value in shard.items():
        if key in WAYS:
            tables = entry.setdefault(key, {})
            for table, values_LE in value.items():
                tables[table] = _sum(tables.get(table, 0.0), values_LE, whole=not table.startswith("moved"))
        else:
            entry[key] = _sum(entry.get(key, 0), value, whole=True)


def _sum(before: Any, more: Any, *, whole: bool) -> Any:
    added = np.asarray(before, dtype=np.float64) + np.asarray(more, dtype=np.float64)
    return (np.rint(added).astype(np.int64) if whole else np.round(added, 4)).tolist()

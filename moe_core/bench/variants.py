"""What is compared: the dense original, adaptive routing at several budgets, and other rules on the same weights."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from moe_core.errors import InputError
from moe_core.model.baseline_routing import decide_random_k, decide_threshold, decide_top_p, match
from moe_core.model.encoder import Encoder, PackedTexts, RouteLayer, pack, pool
from moe_core.model.heads import Head
from moe_core.model.reference import RoutedModel, load_model
from moe_core.model.requests import Setting
from moe_core.model.router import Routing, decide_top_k
from moe_core.model.split import expert_layers

BUDGETS = (1.0, 0.5, 0.35, 0.25, 0.15)
TRAINED = "shipped, trained for this rule"
UNTRAINED = "shipped, not trained for this rule"
BATCH_TOKENS = Setting().batch_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One contender. `rule` and `budget` find it in evaluation.json; `weights` says what it runs on."""

    name: str
    encoder: Encoder
    route: RouteLayer | None = None
    rule: str = "dense"
    budget: float | None = None
    weights: str = "dense original"
    precision: str = "float32"
    heads: Mapping[str, Head] = field(default_factory=dict)

    @torch.inference_mode()
    def embed(
        self, batch: Sequence[Sequence[int]], seen: list[tuple[PackedTexts, list[Routing]]] | None = None
    ) -> Tensor:
        """embeddings_BD, float32, in the caller's order: packing, encoder and pooling, which is what is timed.

        `seen` collects the routing of every part, for counting.
        """
        parts = list(chunks(batch, BATCH_TOKENS))
        results = []
        for part in parts:
            packed = pack([batch[i] for i in part])
            hidden_TD, routings = self.encoder(packed, self.route)
            results.append(pool(hidden_TD.float(), packed))
            if seen is not None:
                seen.append((packed, routings))
        if len(parts) == 1:
            return results[0]
        embeddings_BD = torch.empty(len(batch), results[0].shape[1])
        for part, result_BD in zip(parts, results, strict=True):
            embeddings_BD[part] = result_BD
        return embeddings_BD


def chunks(batch: Sequence[Sequence[int]], most_tokens: int) -> Iterator[list[int]]:
    """Indices of texts that a session would answer together: by length, up to `most_tokens`."""
    part: list[int] = []
    used = 0
    order = range(len(batch)) if len(batch) == 1 else sorted(range(len(batch)), key=lambda i: len(batch[i]))
    for index in order:
        if part and used + len(batch[index]) > most_tokens:
            yield part
            part, used = [], 0
        part.append(index)
        used += len(batch[index])
    yield part


def dense(model: RoutedModel, name: str = "dense") -> Variant:
    return Variant(name=name, encoder=model.dense, heads=model.heads)


def adaptive(model: RoutedModel, budget: float, name: str | None = None, weights: str = TRAINED) -> Variant:
    """Raises InputError for a budget outside the measured range."""
    return Variant(name=name or f"adaptive@{budget:g}", encoder=model.adapted, heads=model.heads, rule="adaptive",
                   budget=budget, weights=weights, route=model.route(budget))  # fmt: skip


def top_k(model: RoutedModel, k: int, name: str | None = None, weights: str = UNTRAINED) -> Variant:
    return Variant(name=name or f"topk@{k}", encoder=model.adapted, heads=model.heads, rule="topk", weights=weights,
                   budget=k / model.config.n_experts,
                   route=lambda _, logits_TE: decide_top_k(logits_TE, k))  # fmt: skip


def random_k(model: RoutedModel, k: int, seed: int = 0) -> Variant:
    generator = torch.Generator().manual_seed(seed)
    return Variant(name=f"randomk@{k}", encoder=model.adapted, heads=model.heads, rule="randomk", weights=UNTRAINED,
                   budget=k / model.config.n_experts,
                   route=lambda _, logits_TE: decide_random_k(logits_TE, k, generator))  # fmt: skip


def matched(model: RoutedModel, rule: str, budget: float, sample: Sequence[Sequence[int]]) -> Variant:
    """`topp` or `threshold` with its knob set so that the mean share of experts on `sample` is `budget`."""
    decider: Callable[[Tensor, float], Routing] = {"topp": decide_top_p, "threshold": decide_threshold}[rule]

    def at(knob: float) -> Variant:
        return Variant(name=f"{rule}@{budget:g}", encoder=model.adapted, heads=model.heads, rule=rule, budget=budget,
                       weights=UNTRAINED, route=lambda _, logits_TE: decider(logits_TE, knob))  # fmt: skip

    def share_at(knob: float) -> float:
        seen: list[tuple[PackedTexts, list[Routing]]] = []
        at(knob).embed(sample, seen)
        gates = [routing.gates_TE.flatten() > 0 for _, routings in seen for routing in routings]
        return float(torch.cat(gates).float().mean())

    return at(match(share_at, budget, rising=rule == "topp"))


def half(variant: Variant, name: str) -> Variant:
    """The same in bfloat16: weights and activations; routers stay in float32, so the routing is decided as before."""
    encoder = copy.deepcopy(variant.encoder).bfloat16()
    for block in expert_layers(encoder) if variant.route is not None else []:
        block.router.float()
    return Variant(name=name, encoder=encoder, route=variant.route, rule=variant.rule, budget=variant.budget,
                   weights=variant.weights, precision="bfloat16", heads=variant.heads)  # fmt: skip


def rival(text: str) -> Variant:
    """A model folder as a contender: `DIR` (adaptive at 0.25), or `DIR=adaptive@0.35`, `DIR=topk@4`, `DIR=dense`."""
    folder, _, rule = text.partition("=")
    model, name = load_model(folder), Path(folder).name
    kind, _, number = (rule or "adaptive@0.25").partition("@")
    weights = f"{name}, trained for this rule"
    try:
        if kind == "adaptive":
            return adaptive(model, float(number), name, weights)
        if kind == "topk" and 1 <= int(number) <= model.config.n_experts:
            return top_k(model, int(number), name, weights)
        if kind == "dense" and not number:
            return dense(model, name)
    except ValueError:
        pass
    raise InputError(f"--compare {text}: {rule!r} is no rule; use DIR, DIR=adaptive@0.25, DIR=topk@4 or DIR=dense.")


def full_list(model: RoutedModel, sample: Sequence[Sequence[int]]) -> list[Variant]:
    """Everything that the shipped weights can run; budgets below the measured range are left out."""
    budgets = [budget for budget in BUDGETS if budget >= model.calibration.smallest_budget]
    base = dense(model)
    quarter = adaptive(model, max(0.25, model.calibration.smallest_budget))
    return [
        base,
        dense(model, "dense-aa"),
        *(adaptive(model, budget) for budget in budgets),
        *(top_k(model, k) for k in (2, 4, 8) if k <= model.config.n_experts),
        random_k(model, min(4, model.config.n_experts)),
        matched(model, "topp", 0.25, sample),
        matched(model, "threshold", 0.25, sample),
        half(base, "dense-bf16"),
        half(quarter, f"adaptive-bf16@{quarter.budget:g}"),
    ]


def quick_list(model: RoutedModel) -> list[Variant]:
    """The contenders of `--quick`."""
    budgets = [budget for budget in (0.35, 0.25) if budget >= model.calibration.smallest_budget]
    return [dense(model), dense(model, "dense-aa"), *(adaptive(model, b) for b in budgets),
            top_k(model, min(4, model.config.n_experts))]  # fmt: skip

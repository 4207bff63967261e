"""Joint training of weights, routers and thresholds by distillation from the dense original.

The recipe: routers learn to predict how much each expert contributes; every step runs the model at a random
threshold, from all experts on to very sparse; the loss asks for the dense model's hidden states and embeddings,
for contributions concentrated in few experts, and for an even load. Nothing is printed: `train` yields reports.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from moe_core.model import losses
from moe_core.model.controller import BalanceConfig, BalanceController
from moe_core.model.encoder import Encoder, EncoderLayer, PackedTexts, pack, pool
from moe_core.model.gate_gradient import with_gradient
from moe_core.model.layers import ExpertFeedForward
from moe_core.model.router import decide
from moe_core.model.split import expert_layers
from moe_core.model.text_batches import BatchConfig, TokenizedTexts, batches
from moe_core.model.training_rules import Rule, choose, draw_level, threshold_for
from moe_core.model.training_state import load_training_state, save_training_state
from moe_core.records import StepReport


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveConfig:
    """Weights of the loss terms, and how thresholds are drawn."""

    embedding: float = 5.0
    hidden: float = 1.0
    router: float = 0.3
    concentration: float = 0.5
    imbalance: float = 0.05
    tau_top: float = 0.75
    tau_power: float = 1.4  # above 1: more small thresholds, so that all shares are visited about equally
    tau_rise: float = 0.3  # share of the steps over which the largest threshold rises to tau_top
    tau_layer_noise: float = 0.15  # standard deviation of the log threshold between layers
    by_share: bool = False  # draw the share of experts and take the batch's threshold for it, instead of drawing tau
    all_on: float = 0.08  # share of the steps with all experts on
    lost_expert: float = 0.0  # share of the (step, layer) pairs in which one or two experts are not available
    gate_gradient: bool = False  # the loss also reaches the routers, through the gates (gate_gradient.py)
    gate_window: float = 0.0
    norms_every: int = 1  # contributions are measured on every n-th token (routers, concentration, imbalance)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """One file = one run. Learning rates are per AdamW step; `decay` = share of the steps with falling rate."""

    corpus: str = "data/cache/corpus/train.jsonl"
    heldout: str = "data/cache/corpus/heldout.jsonl"
    rule: Rule = "adaptive"  # how experts are chosen; the others are baselines (training_rules.py)
    start_from: str = ""  # training state whose weights are taken instead of the split original's
    n_experts: int = 16
    qk_width: int = 0  # width of query and key heads, 0 as in the original
    router_hidden: int = 32
    ramp: float = 0.2  # in training, where a wide one lets the loss reach more routers
    stored_ramp: float = 0.05  # of the finished model (docs/adr/0005)
    steps: int = 5000
    router_steps: int = 250
    learning_rate: float = 2e-4
    router_learning_rate: float = 1e-3
    warm_up: int = 100
    decay: float = 0.6
    clip: float = 1.0
    seed: int = 0
    split_seed: int = 0  # of the grouping of neurons into experts; a run that starts from another keeps its own
    precision: Literal["float32", "bfloat16"] = "float32"  # of matrix products; weights stay float32
    checkpoint_every: int = 250
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)

    def rate(self, step: int) -> float:
        """Factor on the learning rates: linear warm-up, constant, then half a cosine to 0."""
        if step < self.warm_up:
            return (step + 1) / self.warm_up
        start = self.steps * (1 - self.decay)
        if step < start:
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - start) / max(1.0, self.steps - start)))


@torch.no_grad()
def dense_layers(dense: Encoder, texts: PackedTexts) -> Iterator[tuple[Tensor, Tensor]]:
    """For every layer of the dense original: (what its feed-forward block and the router read, its output), TD each."""
    x_TD = dense.embeddings(texts)
    for layer in dense.layers:
        assert isinstance(layer, EncoderLayer)
        a_TD = layer.attend(x_TD, texts.groups)
        x_TD = layer.ffn_norm(a_TD + layer.ffn(a_TD))
        yield a_TD, x_TD


@torch.no_grad()
def warm_start(student: Encoder, dense: Encoder, texts: TokenizedTexts, config: TrainingConfig) -> Iterator[StepReport]:
    """Sets each expert's mean output and fits the routers to the frozen model's contributions."""
    stream = batches(texts, config.batch, seed=config.seed + 1)
    blocks = expert_layers(student)
    sums = [torch.zeros_like(block.mean_ED) for block in blocks]
    seen = 0
    for _ in range(40):
        packed = pack(next(stream))
        for block, (inputs_TD, _), total_ED in zip(blocks, dense_layers(dense, packed), sums, strict=True):
            hidden_TH = torch.nn.functional.gelu(torch.nn.functional.linear(inputs_TD, block.w1_HD, block.b1_H))
            mean_EF = hidden_TH.sum(dim=0).view(block.n_experts, block.expert_width)
            w2_EFD = block.w2_HD.view(block.n_experts, block.expert_width, -1)
            total_ED += torch.bmm(mean_EF.unsqueeze(1), w2_EFD).squeeze(1)
        seen += len(packed.ids_T)
    for block, total_ED in zip(blocks, sums, strict=True):
        block.mean_ED.copy_(total_ED / seen)
    optimizer = torch.optim.AdamW([p for b in blocks for p in b.router.parameters()], lr=3e-3, weight_decay=0.0)
    for step in range(config.router_steps):
        packed = pack(next(stream))
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / config.router_steps)
        total = 0.0
        for block, (inputs_TD, _) in zip(blocks, dense_layers(dense, packed), strict=True):
            _, norms_NE = block.forward_masked(inputs_TD, torch.ones(len(inputs_TD), block.n_experts))
            if step == 0:
                block.router.outer.bias.copy_(norms_NE.mean(dim=0).log())
            with torch.enable_grad():
                loss = losses.router_regression(block.router(inputs_TD), norms_NE)
                torch.autograd.backward(loss)
            total += float(loss.detach())
        optimizer.step()
        optimizer.zero_grad()
        yield StepReport(step=step, values={"router_regression": total / len(blocks)})


def train(
    student: Encoder, dense: Encoder, texts: TokenizedTexts, config: TrainingConfig, state_dir: Path
) -> Iterator[StepReport]:
    """Joint training; resumes from `state_dir` if it holds a state, and saves one every `checkpoint_every` steps."""
    student.train().embeddings.requires_grad_(False)
    named = [(name, p) for name, p in student.named_parameters() if p.requires_grad]
    routers = [p for name, p in named if ".router." in name]
    others = [p for name, p in named if ".router." not in name]
    optimizer = torch.optim.AdamW([{"params": others}, {"params": routers}], weight_decay=0.0)
    controller = BalanceController(config.balance, [b.router.threshold_offset_E for b in expert_layers(student)])
    first = load_training_state(state_dir, student, optimizer, named, controller.load_LE)
    for step, rows in enumerate(batches(texts, config.batch, seed=config.seed, first_step=first), start=first):
        if step >= config.steps:
            break
        rate = config.rate(step)
        for group, base in zip(
            optimizer.param_groups, (config.learning_rate, config.router_learning_rate), strict=True
        ):
            group["lr"] = base * rate
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.precision == "bfloat16"):
            loss, values = training_loss(student, dense, pack(rows), config, controller, step)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_([p for _, p in named], config.clip)
        optimizer.step()
        yield StepReport(step=step, values=values)
        if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
            save_training_state(state_dir, student, optimizer, named, controller.load_LE, step + 1)


def draw_thresholds(config: TrainingConfig, step: int) -> list[float]:
    """One threshold per layer for this step; all 0 when every expert runs."""
    objective = config.objective
    rng = np.random.default_rng([config.seed, 7, step])
    n_layers = 64
    noise = rng.normal(0.0, objective.tau_layer_noise, n_layers)
    top = objective.tau_top * min(1.0, (step + 1) / max(1.0, config.steps * objective.tau_rise))
    tau = 0.0 if rng.random() < objective.all_on else top * rng.random() ** objective.tau_power
    return [float(min(0.97, tau * math.exp(n))) for n in noise]


def draw_available(config: TrainingConfig, step: int, layer: int, load_E: Tensor) -> Tensor | None:
    """Which experts may run in this step and layer (bool, E); None: all of them.

    One or two are lost, half of them drawn by load: a busy expert is the one that others must learn to replace.
    """
    rng = np.random.default_rng([config.seed, 13, step, layer])
    if rng.random() >= config.objective.lost_expert:
        return None
    available_E = torch.ones(config.n_experts, dtype=torch.bool)
    weights_E = load_E.double().numpy() + 1e-6
    for _ in range(min(1 + int(rng.random() < 0.4), config.n_experts - 1)):  # one is left in any case
        by_load = rng.random() < 0.5
        available_E[int(rng.choice(config.n_experts, p=weights_E / weights_E.sum() if by_load else None))] = False
    return available_E


def training_loss(
    student: Encoder,
    dense: Encoder,
    texts: PackedTexts,
    config: TrainingConfig,
    controller: BalanceController,
    step: int,
) -> tuple[Tensor, dict[str, float]]:
    """Loss of one batch at this step's thresholds, and its parts as plain numbers."""
    objective = config.objective
    teacher = [output_TD for _, output_TD in dense_layers(dense, texts)]
    taus = draw_thresholds(config, step)
    level = draw_level(config.seed, step, config.n_experts, objective.all_on)
    n_layers = student.config.n_layers
    terms = {name: torch.zeros(()) for name in ("hidden", "router", "concentration", "imbalance")}
    active = 0.0
    x_TD = student.embeddings(texts)
    for index, layer in enumerate(student.layers):
        assert isinstance(layer, EncoderLayer)
        assert isinstance(layer.ffn, ExpertFeedForward)
        a_TD = layer.attend(x_TD, texts.groups)
        logits_TE = layer.ffn.router(a_TD.detach())
        available_E = draw_available(config, step, index, controller.load_LE[index])
        tau = threshold_for(logits_TE.detach(), layer.ffn.router, level) if objective.by_share else taus[index]
        thresholds_E = layer.ffn.router.thresholds_E(tau)
        routing = decide(logits_TE.detach(), thresholds_E, config.ramp, available_E)
        gates_TE = routing.gates_TE
        if config.rule != "adaptive":
            gates_TE = choose(config.rule, logits_TE.detach(), level, config.seed + 64 * step + index)
        elif objective.gate_gradient:
            gates_TE = with_gradient(gates_TE, logits_TE, thresholds_E, config.ramp, objective.gate_window)
        y_TD, norms_NE = layer.ffn.forward_masked(a_TD, gates_TE, norms_every=objective.norms_every)
        x_TD = layer.ffn_norm((a_TD + y_TD).float())
        measured_NE = logits_TE[:: objective.norms_every]
        weight = 2 * (index + 1) / (n_layers * (n_layers + 1))
        terms["hidden"] = terms["hidden"] + weight * losses.hidden_distance(x_TD, teacher[index].float())
        terms["router"] = terms["router"] + losses.router_regression(measured_NE, norms_NE) / n_layers
        terms["concentration"] = terms["concentration"] + losses.concentration(norms_NE) / n_layers
        terms["imbalance"] = terms["imbalance"] + losses.imbalance(norms_NE) / n_layers
        if available_E is None and config.rule == "adaptive":
            controller.update(index, gates_TE.detach() > 0)
        active += float((gates_TE.detach() > 0).float().mean()) / n_layers
    distance = losses.embedding_distance(pool(x_TD, texts), pool(teacher[-1].float(), texts))
    loss = objective.embedding * distance + objective.hidden * terms["hidden"] + objective.router * terms["router"]
    loss = loss + objective.concentration * terms["concentration"] + objective.imbalance * terms["imbalance"]
    values = {name: float(term.detach()) for name, term in terms.items()}
    values |= {"loss": float(loss.detach()), "embedding_distance": float(distance.detach())}
    values |= {"active_fraction": active, "tau": taus[0], "tokens": float(len(texts.ids_T))}
    return loss, values

"""The router: which experts run for which token, and by what margin.

Shape letters used in the whole package:
    B batch of texts, S sequence, T tokens (all texts of a batch packed, no padding), D model width,
    F hidden width of one expert, E experts per layer, K slots of top-k, N routed (token, expert) pairs,
    L layers, R hidden width of a router, V vocabulary.

The router predicts, for every token, how much each expert would contribute: the norm of the expert's
output minus its mean output. Its logits are the logarithms of these norms, so that

    score  = exp(logit - largest logit of the token)     in (0, 1]: share of the strongest expert
    prob   = softmax(logits)                             share of the sum
    run expert e  iff  score_e > threshold_e  (the expert with the largest margin always runs)

An expert just above its threshold enters softly: its gate weight grows from 0 to 1 while the score rises
by `ramp` (relative) above the threshold. So a score that differs in the last bit cannot make the output jump.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor, nn

Mode = Literal["adaptive", "dense", "topk"]
MODES: tuple[Mode, ...] = ("adaptive", "dense", "topk")


@dataclass(frozen=True, kw_only=True, slots=True)
class RouterConfig:
    """d_model and hidden: widths; ramp: relative score range over which an expert fades in."""

    d_model: int = 384
    n_experts: int = 16
    hidden: int = 32
    ramp: float = 0.2

    def build(self) -> "Router":
        return Router(self)


@dataclass(slots=True, eq=False)  # not frozen: a frozen one takes 3 us more to make, in every layer of a short text
class Routing:
    """What one router decided for the T tokens of a call.

    logits_TE, scores_TE float32; thresholds_E float32 (or thresholds_TE in top-k mode: the first
    loser's score); gates_TE float32, 0 where the expert does not run; floor_T bool: the token's best expert
    ran although its score did not pass.
    """

    logits_TE: Tensor
    scores_TE: Tensor
    thresholds_E: Tensor
    gates_TE: Tensor
    floor_T: Tensor
    failover_TE: Tensor | None = None

    @property
    def margins_TE(self) -> Tensor:
        """Score minus threshold, shape (T, E)."""
        return self.scores_TE - self.thresholds_E


class Router(nn.Module):
    """Two small linear maps, D -> R -> E, always computed in float32."""

    def __init__(self, config: RouterConfig) -> None:
        super().__init__()
        self.config = config
        self.inner = nn.Linear(config.d_model, config.hidden)
        self.outer = nn.Linear(config.hidden, config.n_experts)
        self.threshold_offset_E: Tensor
        self.register_buffer("threshold_offset_E", torch.zeros(config.n_experts))

    def thresholds_E(self, tau: float) -> Tensor:
        """Thresholds of this layer's experts at the layer's common threshold `tau`: tau x exp(offset)."""
        return tau * torch.exp(self.threshold_offset_E)

    def forward(self, x_TD: Tensor) -> Tensor:
        """logits_TE: predicted log norm of every expert's deviation from its mean output."""
        if x_TD.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return self._forward(x_TD.float())
        return self._forward(x_TD)

    def _forward(self, x_TD: Tensor) -> Tensor:
        hidden_TR = nn.functional.gelu(torch.addmm(self.inner.bias, x_TD, self.inner.weight.t()))
        return torch.addmm(self.outer.bias, hidden_TR, self.outer.weight.t())

    def multiply_adds_per_token(self) -> int:
        c = self.config
        return c.d_model * c.hidden + c.hidden * c.n_experts


def relative_scores(logits_TE: Tensor) -> Tensor:
    """scores_TE in (0, 1]: predicted contribution as a share of the token's largest one."""
    return (logits_TE - logits_TE.amax(dim=1, keepdim=True)).exp_()


@dataclass(frozen=True, slots=True)
class Thresholds:
    """One layer's thresholds and what follows from them, made once a run: a short text has 6 layers of 100 us each.

    values_E; fade_E: score range over which an expert fades in; strongest_runs: whether the token's strongest expert
    passes with gate 1 whatever the scores are, so that nobody needs to stand in as the floor.
    """

    values_E: Tensor
    fade_E: Tensor
    strongest_runs: bool

    @classmethod
    def of(cls, thresholds_E: Tensor, ramp: float) -> "Thresholds":
        values_E = thresholds_E.float().contiguous()
        fade_E = (ramp * values_E).clamp_(min=1e-9)
        return cls(values_E, fade_E, float(values_E.max() + fade_E.max()) < 1)


def decide(logits_TE: Tensor, thresholds_E: Tensor, ramp: float, available_E: Tensor | None = None) -> Routing:
    """Adaptive routing: every expert whose score passes its threshold, and always the one with the largest margin.

    `available_E` (bool) marks experts that may run; a missing one can neither pass nor be the floor. Scores are then
    shares of the strongest expert that is left (a missing one's is cut off at 1), so that more of the others run where
    the strongest is missing. Whoever runs only for that reason is a failover.
    """
    return decide_at(logits_TE, Thresholds.of(thresholds_E, ramp), available_E)


def decide_at(logits_TE: Tensor, thresholds: Thresholds, available_E: Tensor | None = None) -> Routing:
    """`decide` at thresholds that were prepared."""
    scores_TE = relative_scores(logits_TE)
    if available_E is None and thresholds.strongest_runs:  # nearly always, so without a further call
        gates_TE = ((scores_TE - thresholds.values_E) / thresholds.fade_E).clamp_(0.0, 1.0)
        return Routing(logits_TE, scores_TE, thresholds.values_E, gates_TE, nobody(len(gates_TE)))
    gates_TE, floor_T = _gates(scores_TE, thresholds)
    if available_E is None:
        return Routing(logits_TE, scores_TE, thresholds.values_E, gates_TE, floor_T)
    wanted_TE = gates_TE > 0
    left_TE = logits_TE.masked_fill(~available_E, float("-inf"))
    scores_TE = (logits_TE - left_TE.amax(dim=1, keepdim=True)).clamp_(max=0.0).exp_()
    gates_TE, floor_T = _gates(scores_TE, thresholds, available_E)
    return Routing(logits_TE, scores_TE, thresholds.values_E, gates_TE, floor_T, (gates_TE > 0) & ~wanted_TE)


@dataclass(frozen=True, slots=True)
class AdaptiveRoute:
    """The adaptive rule at thresholds of every layer, for `Encoder.forward`; available: see `decide`, None for layers
    that lost no expert."""

    thresholds: Sequence[Thresholds]
    available: Sequence[Tensor | None] | None = None

    def __call__(self, layer: int, logits_TE: Tensor) -> Routing:
        return decide_at(logits_TE, self.thresholds[layer], self.available[layer] if self.available else None)

    def plain(self, layer: int) -> Thresholds | None:
        """This layer's thresholds, if nothing else is needed to decide: no expert lost, no floor."""
        thresholds = self.thresholds[layer]
        lost = self.available is not None and self.available[layer] is not None
        return thresholds if thresholds.strongest_runs and not lost else None


@lru_cache(maxsize=64)
def nobody(n_tokens: int) -> Tensor:
    """No floor for any token; shared by all calls of that size, never written to."""
    return torch.zeros(n_tokens, dtype=torch.bool)


def _gates(scores_TE: Tensor, thresholds: Thresholds, available_E: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """gates_TE, and floor_T: where the expert with the largest margin was let through without passing."""
    margins_TE = scores_TE - thresholds.values_E
    if available_E is not None:
        margins_TE = margins_TE.masked_fill_(~available_E, float("-inf"))
    gates_TE = (margins_TE / thresholds.fade_E).clamp_(0.0, 1.0)
    if thresholds.strongest_runs:
        return gates_TE, nobody(len(gates_TE))
    best_T1 = margins_TE.argmax(dim=1, keepdim=True)
    return gates_TE.scatter_(1, best_T1, 1.0), margins_TE.gather(1, best_T1).squeeze(1) <= 0


def decide_top_k(logits_TE: Tensor, k: int, available_E: Tensor | None = None) -> Routing:
    """Fixed routing, the field's common baseline: the k experts with the largest scores, gate weight 1.

    Of missing experts (`available_E` False) none runs: the next ones in order do, as failover. All that are left run
    if they are fewer than k.
    """
    scores_TE = relative_scores(logits_TE)
    n_left = scores_TE.shape[1] if available_E is None else int(available_E.sum())
    left_TE = scores_TE if available_E is None else scores_TE.masked_fill(~available_E, float("-inf"))
    order_TE = left_TE.argsort(dim=1, descending=True, stable=True)
    gates_TE = torch.zeros_like(scores_TE).scatter(1, order_TE[:, : min(k, n_left)], 1.0)
    first_loser_T1 = scores_TE.gather(1, order_TE[:, k : k + 1]) if k < n_left else torch.zeros_like(scores_TE[:, :1])
    floor_T = torch.zeros(len(scores_TE), dtype=torch.bool)
    failover_TE = None
    if available_E is not None:
        wanted_TK = scores_TE.argsort(dim=1, descending=True, stable=True)[:, :k]
        failover_TE = (gates_TE > 0).scatter(1, wanted_TK, False)
    return Routing(logits_TE, scores_TE, first_loser_T1.expand_as(scores_TE), gates_TE, floor_T, failover_TE)

"""Which way the experts that were chosen are computed, chosen by measured cost, and the ways themselves.

    gathered  an expert runs on the tokens that chose it: they are collected, multiplied, added back
    direct    an expert runs on every token of the block and its hidden values are multiplied by the gate, which is 0
              for tokens that did not choose it; neighbouring direct experts are one slice of rows of W1 and W2
    whole     all experts are direct, and the products use the prepared weights of the whole layer (`prepared.py`)

The first two read the stored weights through views; nothing is copied, and an expert that no token of the block chose
is not read. The third multiplies idle experts too and weights them 0: for one short text that is faster than leaving
them out, because a prepared product of everything costs less than plain products of three quarters. It is only taken
while the idle experts' weights are `sound`, so that 0 times their output is 0 and nothing else: a damaged expert that
no token chose changes no number in any of the three. All three agree to rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from moe_core.model.prepared import prepare
from moe_core.model.whole import sound_experts

BLOCK = 4096  # tokens handled together; of dense, 256 texts on one thread and two: 1024 .551 .590, 2048 .535 .61, 4096
# .535 .579. Longer products divide better; the results of one expert at a time keep the caches as they were.
WHOLE_BLOCK = 256  # rows whose hidden values (1.5 MB) stay near the core; 64 cost 3 % more, everything at once 9 %
FEW_TOKENS = 32  # up to here `whole` won at every budget measured, so nothing is counted: counting costs 20 us a layer
FEW_TOKENS_MORE_THREADS = 120  # the same on two threads
SLICE_ELEMENTS = 2**20  # hidden values of one merged slice


class Cost(NamedTuple):
    """Microseconds: one gathered expert and each of its tokens; collecting at all; one direct expert and each token of
    the block; the whole layer and each token."""

    gathered: float
    per_pair: float
    collect: float
    direct: float
    per_token: float
    whole: float
    whole_per_token: float


# Least time of 40 interleaved calls on one AMD EPYC core (fp32, D = 384, 16 experts of 96; weights not in the cache).
# Two products of 16 experts with 1 / 6 / 12 / 30 / 64 tokens each: 508 / 647 / 750 / 1237 / 2007 us; on two threads
# 527 / 623 / 690 / 933 / 1340, because so small a product does not divide. Merged rows of 12 experts, 10 / 19 / 30 /
# 100 tokens: 557 / 754 / 891 / 2098, on two threads 303 / 397 / 463 / 1120. Whole layer, prepared, GELU included:
# 395 / 655 / 862 / 2409, on two threads 278 / 405 / 530 / 1301. Inside the encoder a small operation costs about
# twice what it costs in a loop of its own (caches): 12 us more for a gathered expert, 45 for collecting; on two threads
# 20 more, since every small product is a meeting of the threads (one text of 100 tokens: min 15.1 ms gathered, 15.5
# whole, but median 22.9 and 18.8 on a busy machine). Only the ratios matter below.
ONE_THREAD = Cost(42.0, 2.0, 80.0, 40.0, 1.45, 190.0, 22.0)
MORE_THREADS = Cost(65.0, 1.05, 80.0, 21.0, 0.8, 160.0, 11.5)


@dataclass(frozen=True, slots=True)
class Plan:
    """slices: (first, behind last) direct experts; gathered: expert ids. `whole` stands alone."""

    slices: tuple[tuple[int, int], ...] = ()
    gathered: tuple[int, ...] = ()
    whole: bool = False

    def pairs(self, counts_E: Sequence[int], n_tokens: int) -> int:
        """(token, expert) products that this plan really multiplies."""
        if self.whole:
            return n_tokens * len(counts_E)
        direct = sum(last - first for first, last in self.slices)
        return direct * n_tokens + sum(counts_E[expert] for expert in self.gathered)


def few_tokens() -> int:
    """Up to how many tokens a layer is computed whole without asking what was chosen."""
    return FEW_TOKENS if torch.get_num_threads() == 1 else FEW_TOKENS_MORE_THREADS


def plan(counts_E: Sequence[int], n_tokens: int, width: int, *, threads: int, whole: bool) -> Plan:
    """The cheapest plan for `n_tokens` of which counts_E chose each expert of `width` neurons; `whole`: may be used."""
    cost = ONE_THREAD if threads == 1 else MORE_THREADS
    touched = [expert for expert, count in enumerate(counts_E) if count]
    direct = cost.direct + cost.per_token * n_tokens
    gathered = [e for e in touched if cost.gathered + cost.per_pair * counts_E[e] < direct]
    saved = sum(direct - cost.gathered - cost.per_pair * counts_E[e] for e in gathered) - cost.collect
    if saved <= 0:
        gathered, saved = [], 0.0
    if whole and cost.whole + cost.whole_per_token * n_tokens < len(touched) * direct - saved:
        return Plan(whole=True)
    apart = set(gathered)
    longest = max(1, SLICE_ELEMENTS // (n_tokens * width))
    return Plan(_merged([e for e in touched if e not in apart], longest), tuple(gathered))


def _merged(experts: Sequence[int], longest: int) -> tuple[tuple[int, int], ...]:
    """Runs of neighbours, none longer than `longest`."""
    slices: list[tuple[int, int]] = []
    for expert in experts:
        if slices and slices[-1][1] == expert and expert - slices[-1][0] < longest:
            slices[-1] = (slices[-1][0], expert + 1)
        else:
            slices.append((expert, expert + 1))
    return tuple(slices)


@dataclass(frozen=True, slots=True)
class ExpertWeights:
    """Views of one layer's weights: w1_HD, b1_H, w2_HD whole and by expert (first one transposed); base_D = b2 + all
    means; minus_mean_ED; width of one expert; sound: see `sound_experts`."""

    w1_HD: Tensor
    b1_H: Tensor
    w2_HD: Tensor
    width: int
    by_expert: tuple[tuple[Tensor, Tensor, Tensor], ...]
    base_D: Tensor
    minus_mean_ED: Tensor
    sound: tuple[bool, ...]

    def rows(self, first: int, last: int) -> tuple[Tensor, Tensor, Tensor]:
        """(W1 transposed, b1, W2) of neighbouring experts."""
        if last == first + 1:
            return self.by_expert[first]
        neurons = slice(first * self.width, last * self.width)
        return self.w1_HD[neurons].t(), self.b1_H[neurons], self.w2_HD[neurons]


def expert_weights(w1_HD: Tensor, b1_H: Tensor, w2_HD: Tensor, b2_D: Tensor, mean_ED: Tensor) -> ExpertWeights:
    n_experts = len(mean_ED)
    width = len(w1_HD) // n_experts
    parts = (slice(e * width, (e + 1) * width) for e in range(n_experts))
    by_expert = tuple((w1_HD[part].t(), b1_H[part], w2_HD[part]) for part in parts)
    sound = sound_experts(w1_HD, b1_H, w2_HD, n_experts)
    return ExpertWeights(w1_HD, b1_H, w2_HD, width, by_expert, b2_D + mean_ED.sum(dim=0), -mean_ED, sound)


@dataclass(frozen=True, slots=True)
class PreparedPair:
    """Both weights of a layer, prepared."""

    w1: Tensor
    w2: Tensor


def prepare_pair(w1_HD: Tensor, w2_HD: Tensor) -> PreparedPair:
    return PreparedPair(prepare(w1_HD), prepare(w2_HD.t()))


class Buffer:
    """Memory that is used again for every block of a call: fresh large tensors cost page faults."""

    def __init__(self, like: Tensor) -> None:
        self._flat = like.new_empty(0)

    def take(self, rows: int, columns: int) -> Tensor:
        """Uninitialised (rows, columns); the last one taken is overwritten."""
        if self._flat.numel() < rows * columns:
            self._flat = self._flat.new_empty(rows * columns)
        return self._flat[: rows * columns].view(rows, columns)


class Buffers:
    """Hidden values, collected inputs and results of one call."""

    def __init__(self, like: Tensor) -> None:
        self.hidden, self.inputs, self.results = Buffer(like), Buffer(like), Buffer(like)


def run_plan(
    weights: ExpertWeights, x_TD: Tensor, gates_TE: Tensor, chosen: Plan, counts_E: Sequence[int], buffers: Buffers
) -> Tensor:
    """Output y_TD of a plan that is not `whole`: all first products, one GELU, all second products."""
    n_tokens, d_model = x_TD.shape
    gathered = chosen.gathered
    n_pairs = sum(counts_E[expert] for expert in gathered)
    widths = [(last - first) * weights.width for first, last in chosen.slices]
    hidden = buffers.hidden.take(1, n_tokens * sum(widths) + n_pairs * weights.width).view(-1)
    parts = torch.split(hidden, [n_tokens * width for width in widths] + [n_pairs * weights.width])
    direct = [part.view(n_tokens, width) for part, width in zip(parts, widths, strict=False)]
    rows = [weights.rows(*bounds) for bounds in chosen.slices]
    for hidden_TF, (w1_DF, b1_F, _) in zip(direct, rows, strict=True):
        torch.addmm(b1_F, x_TD, w1_DF, out=hidden_TF)
    if gathered:
        gates_ET = gates_TE.t().contiguous()
        for first, last in chosen.slices:
            gates_ET[first:last] = 0
        expert_N, token_N = gates_ET.nonzero(as_tuple=True)
        counts = [counts_E[expert] for expert in gathered]
        x_ND = torch.index_select(x_TD, 0, token_N, out=buffers.inputs.take(n_pairs, d_model))
        hidden_NF = parts[-1].view(n_pairs, weights.width)
        inputs, hiddens = torch.split(x_ND, counts), torch.split(hidden_NF, counts)
        for expert, x_MD, hidden_MF in zip(gathered, inputs, hiddens, strict=True):
            w1_DF, b1_F, _ = weights.by_expert[expert]
            torch.addmm(b1_F, x_MD, w1_DF, out=hidden_MF)
    torch.ops.aten.gelu.out(hidden, approximate="none", out=hidden)
    y_TD = torch.addmm(weights.base_D, gates_TE, weights.minus_mean_ED)
    for hidden_TF, (first, last), (_, _, w2_FD) in zip(direct, chosen.slices, rows, strict=True):
        hidden_TF.view(n_tokens, last - first, -1).mul_(gates_TE[:, first:last].unsqueeze(2))
        torch.addmm(y_TD, hidden_TF, w2_FD, out=y_TD)
    if gathered:
        hidden_NF.mul_(gates_ET[expert_N, token_N].unsqueeze(1))
        for expert, hidden_MF, token_M in zip(gathered, hiddens, torch.split(token_N, counts), strict=True):
            y_MD = buffers.results.take(len(token_M), d_model)  # one expert's results stay near the core
            torch.mm(hidden_MF, weights.by_expert[expert][2], out=y_MD)
            y_TD.index_add_(0, token_M, y_MD)  # always in the order of the experts
    return y_TD

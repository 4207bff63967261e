"""How much each layer should run: one factor per layer on all its thresholds, by coordinate search.

Training draws thresholds that are alike in all layers, but layers differ in how much an expert matters to the
embedding. The search moves one layer's factor at a time and keeps what raises

    sum over two settings of  (mean cosine to dense) - price x (share of the expert compute)

where the price is the slope of the dial at that setting: a layer gets compute where it buys more cosine than elsewhere.
The factors become part of the experts' learned threshold offsets. Texts are training texts, not the held-out ones.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from moe_core.model.calibration import measure, reference_batches
from moe_core.model.encoder import Encoder, PackedTexts
from moe_core.model.split import expert_layers
from moe_core.records import StepReport

STEPS = (0.24, 0.12)  # changes of the log factor tried, coarse to fine
BOUND = 0.7
LARGEST_TAU = 0.97


@torch.inference_mode()
def tune_layer_factors(
    student: Encoder, dense: Encoder, token_ids: Sequence[Sequence[int]], shares: Sequence[float], *, sweeps: int = 2
) -> Iterator[StepReport]:
    """Changes the student's threshold offsets in place for settings that run about `shares` of the experts;
    one report per sweep with objective and factors."""
    _, batches, targets = reference_batches(dense, token_ids)
    taus = [_tau_at(student, batches, targets, share) for share in shares]
    prices = [_slope(student, batches, targets, tau) for tau in taus]
    offsets = [block.router.threshold_offset_E for block in expert_layers(student)]
    factors = [0.0] * len(offsets)
    best = _objective(student, batches, targets, taus, prices)
    for sweep in range(sweeps * len(STEPS)):
        step = STEPS[min(sweep // sweeps, len(STEPS) - 1)]
        for layer, offset_E in enumerate(offsets):
            for change in (step, -step):
                if abs(factors[layer] + change) > BOUND:
                    continue
                offset_E += change
                value = _objective(student, batches, targets, taus, prices)
                if value > best:
                    best, factors[layer] = value, factors[layer] + change
                    break
                offset_E -= change
        yield StepReport(step=sweep, values={"objective": best, **{f"layer_{i}": f for i, f in enumerate(factors)}})


@torch.inference_mode()
def reach_sparse(student: Encoder, dense: Encoder, token_ids: Sequence[Sequence[int]], *, share: float = 0.1) -> float:
    """Raises all threshold offsets by one amount until the largest threshold runs at most `share` of the experts (or
    one a token), and returns the amount, 0 where it already does.

    The dial stays what it was, with smaller common thresholds; without this, factors below 1 could leave the sparse end
    out of reach of a common threshold of 0.97.
    """
    _, batches, targets = reference_batches(dense, token_ids)
    offsets = [block.router.threshold_offset_E for block in expert_layers(student)]
    goal = max(share, 1 / student.config.n_experts) + 1e-6
    room = 0.04 - min(float(offset_E.min()) for offset_E in offsets)  # then no score passes: the best expert runs alone
    raised = 0.0
    while raised < room and _points(student, batches, targets, LARGEST_TAU)[0] > goal:
        step = min(0.1, room - raised)
        for offset_E in offsets:
            offset_E += step
        raised += step
    return raised


def _points(
    student: Encoder, batches: Sequence[PackedTexts], targets: Sequence[Tensor], tau: float
) -> tuple[float, float]:
    names = [[""] * len(packed.lengths_B) for packed in batches]
    point = measure(student, batches, targets, names, tau)
    return point.budget, point.cosine


def _tau_at(student: Encoder, batches: Sequence[PackedTexts], targets: Sequence[Tensor], share: float) -> float:
    """Threshold that runs about `share` of the experts, by bisection."""
    low, high = 0.0, LARGEST_TAU
    for _ in range(8):
        middle = (low + high) / 2
        low, high = (middle, high) if _points(student, batches, targets, middle)[0] > share else (low, middle)
    return (low + high) / 2


def _slope(student: Encoder, batches: Sequence[PackedTexts], targets: Sequence[Tensor], tau: float) -> float:
    """Cosine bought per unit of share around `tau`; 0 where the share does not move."""
    (more, high), (less, low) = (_points(student, batches, targets, tau * f) for f in (0.85, 1.15))
    return (high - low) / (more - less) if more - less > 1e-6 else 0.0


def _objective(
    student: Encoder,
    batches: Sequence[PackedTexts],
    targets: Sequence[Tensor],
    taus: Sequence[float],
    prices: Sequence[float],
) -> float:
    total = 0.0
    for tau, price in zip(taus, prices, strict=True):
        share, cosine = _points(student, batches, targets, tau)
        total += cosine - price * share
    return total

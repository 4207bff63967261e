"""The dial: budget (share of the expert compute) -> thresholds, measured on held-out text.

A sweep over the common threshold tau gives measured points (share, cosine to the dense original); a budget is
answered by interpolating tau between the two neighbouring points. Nothing outside the measured range is answered.
"""

import bisect
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moe_core.errors import CheckpointError, InputError
from moe_core.model.checkpoint import read_json
from moe_core.model.encoder import Encoder, PackedTexts, pack, pool
from moe_core.model.router import AdaptiveRoute, Thresholds
from moe_core.model.split import expert_layers

COARSE_TAUS = tuple(float(tau) for tau in 0.97 * np.linspace(1.0, 0.0, 40) ** 1.7)
SHARES = (0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2, 0.225, 0.25, 0.275, 0.3, 0.325, 0.35, 0.375, 0.4, 0.45, 0.5, 0.55,
          0.6, 0.7, 0.8, 0.9)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DialPoint:
    """One measured setting. budget: active share of the expert compute at threshold `tau`, mean over texts: long
    texts, which run fewer experts a token, must not outvote short ones. by_layer: the share by layer over all tokens.
    Cosine to dense: mean and 5th percentile over n_texts texts. by_domain: (share, mean cosine, texts).
    """

    tau: float
    budget: float
    cosine: float
    cosine_p05: float
    n_texts: int
    n_tokens: int
    by_layer: list[float]
    by_domain: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Measured points in order of falling tau (rising budget); the last one is tau = 0: every expert runs."""

    points: tuple[DialPoint, ...]

    @property
    def smallest_budget(self) -> float:
        return self.points[0].budget

    def tau(self, budget: float) -> float:
        """The common threshold that runs the share `budget` on held-out text. Raises InputError outside the range."""
        check_budget(budget)
        shares = [point.budget for point in self.points]
        if budget < shares[0]:
            raise InputError(
                f"Budget {budget:g} is below {shares[0]:.3f}, the smallest share this model was measured at: "
                "ask for more."
            )
        if budget >= shares[-1]:
            return self.points[-1].tau
        right = bisect.bisect_right(shares, budget)
        low, high = self.points[right - 1], self.points[right]
        weight = (budget - low.budget) / (high.budget - low.budget)
        return low.tau + weight * (high.tau - low.tau)


def check_budget(budget: float) -> None:
    """Raises InputError unless 0 < budget <= 1."""
    if not isinstance(budget, (int, float)) or not math.isfinite(budget) or not 0 < budget <= 1:
        raise InputError(f"Budget {budget!r} is out of range: give a share of the expert compute above 0 and up to 1.")


def load_calibration(path: Path) -> Calibration:
    raw = read_json(path)
    try:
        points = tuple(DialPoint(**point) for point in raw["points"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path} holds no calibration ({error}): run `routelens calibrate`.") from error
    shares, taus = [p.budget for p in points], [p.tau for p in points]
    if len(points) < 2 or sorted(shares) != shares or sorted(taus, reverse=True) != taus:
        raise CheckpointError(f"{path} is not a rising table of budgets: run `routelens calibrate`.")
    return Calibration(points)


def calibration_document(calibration: Calibration, *, heldout: str) -> dict[str, Any]:
    return {"heldout": heldout, "points": [asdict(point) for point in calibration.points]}


def layer_thresholds(student: Encoder, tau_L: Sequence[float]) -> list[Thresholds]:
    """Thresholds of every layer: its tau times its experts' learned factors, prepared with the model's ramp."""
    blocks = expert_layers(student)
    return [
        Thresholds.of(b.router.thresholds_E(tau), student.config.ramp) for b, tau in zip(blocks, tau_L, strict=True)
    ]


@torch.inference_mode()
def measure(
    student: Encoder,
    batches: Sequence[PackedTexts],
    dense_BD: Sequence[Tensor],
    domains: Sequence[Sequence[str]],
    tau: float,
) -> DialPoint:
    """Share and cosine at one threshold; `dense_BD` and `domains` give each batch's embeddings and domains."""
    thresholds = layer_thresholds(student, [tau] * student.config.n_layers)
    executed_L = np.zeros(student.config.n_layers)
    cosines: list[float] = []
    names: list[str] = []
    shares: list[float] = []
    n_tokens = 0
    for packed, target_BD, domain_B in zip(batches, dense_BD, domains, strict=True):
        hidden_TD, routings = student(packed, AdaptiveRoute(thresholds))
        active_LT = torch.stack([(r.gates_TE > 0).float().mean(dim=1) for r in routings])
        executed_L += active_LT.sum(dim=1).numpy()
        n_tokens += len(packed.ids_T)
        cosines += (pool(hidden_TD, packed) * target_BD).sum(dim=1).tolist()
        per_text = [float(part.mean()) for part in torch.split(active_LT.mean(dim=0), list(packed.lengths_B))]
        by_caller = dict(zip(packed.order_B, per_text, strict=True))
        shares += [by_caller[i] for i in range(len(domain_B))]
        names += list(domain_B)
    by_layer = executed_L / n_tokens
    groups: dict[str, list[float]] = {}
    for name in sorted(set(names)):
        rows = [i for i, n in enumerate(names) if n == name]
        share, cosine = np.mean([shares[i] for i in rows]), np.mean([cosines[i] for i in rows])
        groups[name] = [float(share), float(cosine), float(len(rows))]
    return DialPoint(tau, float(np.mean(shares)), float(np.mean(cosines)), float(np.quantile(cosines, 0.05)),
                     len(cosines), n_tokens, [float(v) for v in by_layer], groups)  # fmt: skip


@torch.inference_mode()
def reference_batches(
    dense: Encoder, token_ids: Sequence[Sequence[int]], *, size: int = 64
) -> tuple[list[list[int]], list[PackedTexts], list[Tensor]]:
    """Texts of similar length in batches of `size`: (their indices, the packed texts, the dense embeddings_BD)."""
    place = sorted(range(len(token_ids)), key=lambda i: len(token_ids[i]))
    chunks = [place[i : i + size] for i in range(0, len(place), size)]
    batches = [pack([token_ids[i] for i in chunk]) for chunk in chunks]
    return chunks, batches, [pool(dense(packed)[0], packed) for packed in batches]


@torch.inference_mode()
def calibrate(
    student: Encoder,
    dense: Encoder,
    token_ids: Sequence[Sequence[int]],
    domains: Sequence[str],
    *,
    shares: Sequence[float] = SHARES,
) -> Calibration:
    """Measures the dial on held-out texts: at tau = 0, at 0.97, and near each of `shares`.

    A coarse sweep over every eighth text finds the thresholds; what is written was measured on all texts.
    """
    few = [i for i in range(len(token_ids)) if i % 8 == 0]
    coarse = _sweep(student, dense, [token_ids[i] for i in few], [domains[i] for i in few], COARSE_TAUS)
    wanted = [coarse.tau(share) for share in shares if coarse.smallest_budget < share < 1]
    return _sweep(student, dense, token_ids, domains, [COARSE_TAUS[0], *sorted(wanted, reverse=True), 0.0])


def _sweep(
    student: Encoder,
    dense: Encoder,
    token_ids: Sequence[Sequence[int]],
    domains: Sequence[str],
    taus: Sequence[float],
) -> Calibration:
    """Points at falling thresholds; one that does not raise the share is left out."""
    chunks, batches, dense_BD = reference_batches(dense, token_ids)
    names = [[domains[i] for i in chunk] for chunk in chunks]
    points = [measure(student, batches, dense_BD, names, float(tau)) for tau in taus]
    rising = [points[-1]]
    for point in reversed(points[:-1]):
        if point.budget < rising[-1].budget:
            rising.append(point)
    return Calibration(tuple(reversed(rising)))

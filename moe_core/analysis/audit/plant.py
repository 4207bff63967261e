"""A difference put into a copy of the counts: where it would be seen best, and what the layer looks like with it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_core.analysis.audit.counts import Floats, RoutingCounts
from moe_core.analysis.audit.intervals import sides
from moe_core.analysis.audit.null import Families
from moe_core.analysis.audit.settings import AuditSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Plant:
    """`log_odds` added to the share of one expert in the documents of one side of a contrast (its number, `contrast`):
    from `share` to `share_with` on average. `expected_t`: Welch's t that it should make."""

    contrast: int
    group: str
    layer: int
    expert_id: int
    log_odds: float
    share: float
    share_with: float
    expected_t: float


def best_plant(counts: RoutingCounts, families: Families, settings: AuditSettings) -> Plant:
    """In the contrast with the largest smaller side, the tested cell in which such a difference is largest against the
    spread of documents: what is missed there is missed everywhere."""
    columns = families.shares.columns
    both = [sides(counts, contrast) for contrast in families.contrasts]
    k = int(np.argmax([min(int(group_D.sum()), int(against_D.sum())) for group_D, against_D in both]))
    group_D, against_D = both[k]
    value_DC = columns.value_DC[group_D]
    with_DC = shifted(value_DC, settings.planted_log_odds)
    # drawn again, shares vary more than they did: by the spread of the tokens of a document
    layer_C = np.array(columns.layers)[columns.row_C]
    choices_DC = counts.counts_DLE.sum(axis=2, dtype=np.int64)[:, layer_C]
    noise_C = (columns.value_DC * (1 - columns.value_DC) / np.maximum(choices_DC, 1)).mean(axis=0)
    scale_C = np.sqrt(columns.scale_C**2 + noise_C)
    seen_C = (with_DC.mean(axis=0) - value_DC.mean(axis=0)) / np.maximum(scale_C, 1e-12)
    best = int(np.argmax(np.where(columns.tested_C, seen_C, -np.inf)))
    return Plant(
        contrast=k, group=counts.groups[families.contrasts[k].group], layer=columns.layers[columns.row_C[best]],
        expert_id=int(columns.expert_C[best]), log_odds=settings.planted_log_odds,
        share=float(value_DC[:, best].mean()), share_with=float(with_DC[:, best].mean()),
        expected_t=float(seen_C[best] / np.sqrt(1 / group_D.sum() + 1 / against_D.sum())),
    )  # fmt: skip


def shifted(share: NDArray[np.floating], log_odds: float) -> Floats:
    """A share after `log_odds` are added to its log-odds."""
    factor = np.exp(log_odds)
    moved: Floats = share * factor / (1 - share + share * factor)
    return moved


def redrawn(counts: RoutingCounts, plant: Plant, rng: np.random.Generator) -> NDArray[np.int32]:
    """-> (D, 1, E): the layer of the plant, every document's choices drawn again from its own shares, with the plant in
    the group's documents."""
    layer_DE = counts.counts_DLE[:, plant.layer].astype(np.float64)
    n_D = layer_DE.sum(axis=1)
    share_DE = layer_DE / np.maximum(n_D, 1)[:, None]
    rows = np.flatnonzero((counts.group_D == counts.groups.index(plant.group)) & (n_D > 0))
    planted = share_DE[rows]
    planted[:, plant.expert_id] *= np.exp(plant.log_odds)
    share_DE[rows] = planted / planted.sum(axis=1, keepdims=True)
    share_DE[n_D == 0, 0] = 1.0
    drawn_DE = rng.multinomial(n_D.astype(np.int64), share_DE / share_DE.sum(axis=1, keepdims=True))
    return drawn_DE[:, None].astype(np.int32)

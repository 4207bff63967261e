"""The audit audits itself: labels that mean nothing must be found as rarely as promised, a planted difference must be
found. Every report carries both.

Negative control: 200 labellings, shuffled at the highest level that is known (author, template, else document), go
through the statistics and are compared with the permutations of the audit. It fails where the unit of the audit is
wrong: documents of one author resemble each other, so that labels shuffled by author make differences that labels
permuted by document do not. The permutations are shared by all 200 and made once; a new set is drawn where the control
fails and is repeated.

Positive control: labels are shuffled first, so that no real difference helps, then a difference is planted.

Shape letter Z: shuffled labellings.
"""

from dataclasses import dataclass, replace

import numpy as np

from moe_core.analysis.audit import labellings
from moe_core.analysis.audit.counts import Floats
from moe_core.analysis.audit.multiplicity import permutation_p
from moe_core.analysis.audit.null import Families, Null, permuted_labels
from moe_core.analysis.audit.plant import Plant, best_plant, redrawn
from moe_core.analysis.audit.settings import AuditSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class NegativeControl:
    """`found`: shuffled labellings with a difference at alpha over all families; by family beside it. `unit`: what was
    shuffled. `runs`: 2 where the first one fell outside `limits` and was repeated with a new seed."""

    shuffles: int
    found: int
    found_layers: int
    found_cells: int
    limits: tuple[int, int]
    unit: str
    units: int
    runs: int

    @property
    def passed(self) -> bool:
        return self.limits[0] <= self.found <= self.limits[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class PositiveControl:
    """`found`: the planted cell is significant over all families (how large a difference must be to be flagged is a
    setting, and says nothing about the audit). `smallest_group`: documents; below `small_group` a missed plant means
    that the audit is underpowered, not that it is wrong."""

    plant: Plant
    p_maxt: float
    p_joint: float
    found: bool
    smallest_group: int
    small_group: int

    @property
    def underpowered(self) -> bool:
        return not self.found and self.smallest_group < self.small_group

    @property
    def passed(self) -> bool:
        return self.found or self.underpowered


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfTests:
    negative: NegativeControl
    positive: PositiveControl

    @property
    def passed(self) -> bool:
        return self.negative.passed and self.positive.passed


def self_tests(null: Null, settings: AuditSettings) -> SelfTests:
    """Both controls of the audit whose null this is."""
    negative = _shuffled_runs(null, settings, 0)
    if not negative.passed:
        again = Null.of(null.families, settings, again=1)
        negative = replace(_shuffled_runs(again, settings, 1), runs=2)
    return SelfTests(negative=negative, positive=_planted_run(null, settings))


def shuffled_p(null: Null, settings: AuditSettings, again: int = 0) -> tuple[Floats, Floats, Floats]:
    """-> (p over all families, p of layers, p of cells) of every shuffled labelling, each shape (Z,)."""
    counts, families = null.families.counts, null.families
    seed = [settings.seed, 2, again]

    def labels() -> labellings.Blocks:
        return labellings.shuffled(counts.group_D, counts.stratum_D, counts.unit_D, settings.shuffles, seed)

    share = families.shares.summarise(labels())
    activation = None if families.activations is None else families.activations.summarise(labels(), jsd=False)
    of_null = null.maxima(null.share, null.activation)
    p_FZ = [permutation_p(z, b) for z, b in zip(null.maxima(share, activation), of_null, strict=True)]
    return null.joint.p(np.min(p_FZ, axis=0)), p_FZ[0], p_FZ[1]


def _shuffled_runs(null: Null, settings: AuditSettings, again: int) -> NegativeControl:
    counts = null.families.counts
    found = [int((p_Z <= settings.alpha).sum()) for p_Z in shuffled_p(null, settings, again)]
    low, high = settings.shuffle_limits
    units = counts.n_documents if counts.unit_D is None else len(np.unique(counts.unit_D))
    return NegativeControl(
        shuffles=settings.shuffles, found=found[0], found_layers=found[1], found_cells=found[2],
        limits=(round(low * settings.shuffles / 200), round(high * settings.shuffles / 200)), unit=counts.unit,
        units=units, runs=1,
    )  # fmt: skip


def _planted_run(null: Null, settings: AuditSettings) -> PositiveControl:
    """One layer of the counts is drawn again with the plant; only its statistics under the permutations change."""
    counts = null.families.counts
    rng = np.random.default_rng([settings.seed, 3])
    blocks = labellings.shuffled(counts.group_D, counts.stratum_D, None, 1, [settings.seed, 4])
    dealt = replace(counts, group_D=next(blocks)[0].astype(np.int64))
    plant = best_plant(dealt, null.families, settings)
    changed = replace(dealt, counts_DLE=redrawn(dealt, plant, rng), tokens_DL=dealt.tokens_DL[:, [plant.layer]])
    planted = Families.of(changed, replace(settings, reference=_reference_of(null)))
    t_KC = planted.shares.t(changed.group_D)
    columns = planted.shares.columns
    place = np.flatnonzero(columns.expert_C == plant.expert_id)
    t = float(np.nan_to_num(np.abs(t_KC[plant.contrast, place[0]]))) if len(place) else 0.0
    others_BL = np.delete(null.share.max_t_BL, null.families.shares.columns.layers.index(plant.layer), axis=1)
    under_null = planted.shares.summarise(permuted_labels(counts, settings), jsd=False)
    max_t_B = np.maximum(under_null.max_t_B, others_BL.max(axis=1, initial=0.0))
    p = permutation_p(np.array([t]), max_t_B)
    p_joint = float(null.joint.p(p)[0])
    return PositiveControl(
        plant=plant, p_maxt=float(p[0]), p_joint=p_joint, found=p_joint <= settings.alpha,
        smallest_group=int(counts.size_G.min()), small_group=settings.small_group,
    )  # fmt: skip


def _reference_of(null: Null) -> str | None:
    """The same contrasts as in the audit, whose choice depends on the sizes of groups."""
    reference = null.families.contrasts[0].reference
    return None if reference is None else null.families.counts.groups[reference]

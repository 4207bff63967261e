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
from scipy import stats

from moe_core.analysis.audit import labellings
from moe_core.analysis.audit.counts import Floats, RoutingCounts
from moe_core.analysis.audit.multiplicity import permutation_p
from moe_core.analysis.audit.null import Families, Null, permuted_labels
from moe_core.analysis.audit.plant import Plant, best_plant, redrawn
from moe_core.analysis.audit.settings import AuditSettings

_SURELY_FOUND = 0.99
DEALINGS = 39  # one in 40 is as far out by chance


@dataclass(frozen=True, kw_only=True, slots=True)
class NegativeControl:
    """`found`: shuffled labellings with a difference at alpha over all families; by family beside it. `unit`: what was
    shuffled. `limits`: 4 to 17 of 200, or what documents dealt to the units at random give, where
    that is wider. `runs`: 2 where the first one fell outside and was repeated with a new seed."""

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
    setting, and says nothing about the audit). `power`: how often such a plant should be found in a log like this one.
    `smallest_group`: documents; below `small_group`, or where fewer than nearly all such plants should be found, a
    missed one means that the audit is underpowered, not that it is wrong."""

    plant: Plant
    p_maxt: float
    p_joint: float
    found: bool
    power: float
    smallest_group: int
    small_group: int

    @property
    def underpowered(self) -> bool:
        return not self.found and (self.smallest_group < self.small_group or self.power < _SURELY_FOUND)

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
    negative = _shuffled_runs(null, settings)
    if not negative.passed and null.families.counts.unit_D is not None:
        negative = replace(negative, limits=_limits_by_unit(null, settings, negative.limits))
    if not negative.passed:
        again = _shuffled_runs(Null.of(null.families, settings, again=1), settings, 1)
        negative = replace(again, limits=negative.limits, runs=2)
    return SelfTests(negative=negative, positive=_planted_run(null, settings))


def shuffled_labels(counts: RoutingCounts, settings: AuditSettings, again: int = 0) -> labellings.Labels:
    """The labellings of the negative control, shape (Z, D)."""
    seed = [settings.seed, 2, again]
    return np.concatenate(
        list(labellings.shuffled(counts.group_D, counts.stratum_D, counts.unit_D, settings.shuffles, seed))
    )


def p_of_labellings(null: Null, labels_ZD: labellings.Labels) -> tuple[Floats, Floats, Floats]:
    """-> (p over all families, p of layers, p of cells) of every labelling, each shape (Z,)."""
    families = null.families
    share = families.shares.summarise([labels_ZD])
    share = replace(share, jsd_BL=share.jsd_BL * _sizes(families.counts, labels_ZD)[:, None])
    activation = None if families.activations is None else families.activations.summarise([labels_ZD], jsd=False)
    of_null = null.maxima(null.share, null.activation)
    p_FZ = [permutation_p(z, b) for z, b in zip(null.maxima(share, activation), of_null, strict=True)]
    return null.joint.p(np.min(p_FZ, axis=0)), p_FZ[0], p_FZ[1]


def _sizes(counts: RoutingCounts, labels_ZD: labellings.Labels) -> Floats:
    """What brings the divergence of each labelling to the group sizes of the audit: chance makes it as large as the sum
    of 1 / size over the groups, and where units have unequal numbers of documents, sizes change with the labels."""
    size_ZG = np.stack([(labels_ZD == g).sum(axis=1) for g in range(len(counts.groups))], axis=1)
    factor_Z: Floats = (1 / counts.size_G).sum() / (1 / np.maximum(size_ZG, 1)).sum(axis=1)
    return factor_Z


def _shuffled_runs(null: Null, settings: AuditSettings, again: int = 0) -> NegativeControl:
    counts = null.families.counts
    p_3Z = p_of_labellings(null, shuffled_labels(counts, settings, again))
    found = [int((p_Z <= settings.alpha).sum()) for p_Z in p_3Z]
    low, high = settings.shuffle_limits
    units = counts.n_documents if counts.unit_D is None else len(np.unique(counts.unit_D))
    return NegativeControl(
        shuffles=settings.shuffles, found=found[0], found_layers=found[1], found_cells=found[2],
        limits=(round(low * settings.shuffles / 200), round(high * settings.shuffles / 200)), unit=counts.unit,
        units=units, runs=1,
    )  # fmt: skip


def _limits_by_unit(null: Null, settings: AuditSettings, limits: tuple[int, int]) -> tuple[int, int]:
    """How many shuffles by unit are found where the unit does not matter: documents are dealt to the units at random,
    DEALINGS times. With few units, or a few large ones, the number varies more than that of 200 independent runs."""
    counts = null.families.counts
    labels_ZD = shuffled_labels(counts, settings)
    documents = np.arange(counts.n_documents)
    rng = np.random.default_rng([settings.seed, 9])
    stratum_D = np.zeros_like(documents) if counts.stratum_D is None else counts.stratum_D
    found = []
    for _ in range(DEALINGS):
        dealt_D = documents.copy()
        for stratum in np.unique(stratum_D):
            rows = np.flatnonzero(stratum_D == stratum)
            dealt_D[rows] = rng.permutation(rows)
        found.append(int((p_of_labellings(null, labels_ZD[:, dealt_D])[0] <= settings.alpha).sum()))
    return min(limits[0], *found), max(limits[1], *found)


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
    size_class = null.families.shares.class_K[plant.contrast]
    others_BL = null.share.max_t_BQL[:, size_class]
    others_BL = np.delete(others_BL, null.families.shares.columns.layers.index(plant.layer), axis=1)
    under_null = planted.shares.summarise(permuted_labels(counts, settings), jsd=False)
    max_t_B = np.maximum(under_null.max_t_BQ[:, size_class], others_BL.max(axis=1, initial=0.0))
    p = permutation_p(np.array([t]), max_t_B)
    power = float(stats.norm.cdf(plant.expected_t - _critical_t(null, max_t_B, settings)))
    p_joint = float(null.joint.p(p)[0])
    return PositiveControl(
        plant=plant, p_maxt=float(p[0]), p_joint=p_joint, found=p_joint <= settings.alpha,
        power=power, smallest_group=int(counts.size_G.min()), small_group=settings.small_group,
    )  # fmt: skip


def _critical_t(null: Null, max_t_B: Floats, settings: AuditSettings) -> float:
    """The smallest t that would be significant over all families."""
    steps = len(max_t_B) + 1
    critical = null.joint.critical(settings.alpha, steps)
    return float(np.sort(max_t_B)[::-1][max(round(critical * steps), 1) - 1])


def _reference_of(null: Null) -> str | None:
    """The same contrasts as in the audit, whose choice depends on the sizes of groups."""
    reference = null.families.contrasts[0].reference
    return None if reference is None else null.families.counts.groups[reference]

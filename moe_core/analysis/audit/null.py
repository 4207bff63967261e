"""What chance alone does: every statistic under permuted labels, the same labellings for every family of tests."""

from dataclasses import dataclass

import numpy as np

from moe_core.analysis.audit import labellings
from moe_core.analysis.audit.columns import activation_columns, share_columns
from moe_core.analysis.audit.contrasts import Contrast, contrasts_of
from moe_core.analysis.audit.counts import Floats, RoutingCounts
from moe_core.analysis.audit.multiplicity import Joint, permutation_rank, standardised
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.statistics import Exceedances, Statistics, Summary
from moe_core.errors import AuditError


@dataclass(frozen=True, kw_only=True, slots=True)
class Families:
    """Three families of tests of one set of counts: divergence of layers, shares of cells, and, where the number of
    experts per token varies, activation rates."""

    counts: RoutingCounts
    contrasts: tuple[Contrast, ...]
    shares: Statistics
    activations: Statistics | None

    @classmethod
    def of(cls, counts: RoutingCounts, settings: AuditSettings) -> "Families":
        """Raises AuditError where no expert differs between documents at all."""
        contrasts = contrasts_of(counts.size_G, counts.groups, settings.reference)
        columns = share_columns(counts, settings.cell_documents)
        if not columns.tested_C.any():
            raise AuditError(
                f"No layer has two experts that {settings.cell_documents} documents use, and differently often: there "
                "is no routing to compare."
            )
        activations = None
        if counts.varies:
            rates = activation_columns(counts, settings.cell_documents)
            activations = Statistics(rates, contrasts, len(counts.groups))
        return cls(
            counts=counts, contrasts=contrasts, activations=activations,
            shares=Statistics(columns, contrasts, len(counts.groups)),
        )  # fmt: skip

    def observe(self) -> tuple[Summary, Summary | None]:
        """The labels as they are."""
        labels_1D = self.counts.group_D[None].astype(np.int8)
        activation = None if self.activations is None else self.activations.summarise([labels_1D], jsd=False)
        return self.shares.summarise([labels_1D]), activation

    def permute(
        self, settings: AuditSettings, counting: Exceedances | None = None, again: int = 0
    ) -> tuple[Summary, Summary | None]:
        """Under permuted labels. `again`: others than before, for a second look."""
        activation = None
        if self.activations is not None:
            activation = self.activations.summarise(permuted_labels(self.counts, settings, again), jsd=False)
        return self.shares.summarise(permuted_labels(self.counts, settings, again), counting), activation


def permuted_labels(counts: RoutingCounts, settings: AuditSettings, again: int = 0) -> labellings.Blocks:
    """The labellings of the null; the same call gives the same ones."""
    seed = [settings.seed, 1, again]
    return labellings.permuted(counts.group_D, counts.stratum_D, settings.permutations, seed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Null:
    """The families under `permuted` labels, on the scale on which `observed` is judged."""

    families: Families
    share: Summary
    activation: Summary | None
    mean_L: Floats
    sd_L: Floats
    joint: Joint

    @classmethod
    def of(cls, families: Families, settings: AuditSettings, counting: Exceedances | None = None,
           again: int = 0) -> "Null":  # fmt: skip
        observed, observed_rate = families.observe()
        share, activation = families.permute(settings, counting, again)
        mean_L, sd_L = standardised(np.concatenate([observed.jsd_BL, share.jsd_BL]))
        null = cls(
            families=families, share=share, activation=activation, mean_L=mean_L, sd_L=sd_L, joint=Joint(np.empty(0))
        )
        first, others = null.maxima(observed, observed_rate), null.maxima(share, activation)
        ranks = [permutation_rank(b, np.concatenate([a, b])) for a, b in zip(first, others, strict=True)]
        return cls(
            families=families, share=share, activation=activation, mean_L=mean_L, sd_L=sd_L,
            joint=Joint(np.min(ranks, axis=0)),
        )  # fmt: skip

    def largest_jsd(self, summary: Summary) -> Floats:
        """The largest divergence over layers of each labelling, in standard deviations of its layer."""
        standard_BL: Floats = (summary.jsd_BL - self.mean_L) / self.sd_L
        largest_B: Floats = standard_BL.max(axis=1)
        return largest_B

    def maxima(self, share: Summary, activation: Summary | None) -> list[Floats]:
        """The maximum statistic of each family and size class, for each labelling."""
        found = [self.largest_jsd(share), *share.max_t_BQ.T]
        return found if activation is None else [*found, *activation.max_t_BQ.T]

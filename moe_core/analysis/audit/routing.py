"""Are the groups routed differently? Layers by divergence, cells by difference, under one family-wise error rate."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from moe_core.analysis.audit.counts import RoutingCounts
from moe_core.analysis.audit.multiplicity import benjamini_hochberg
from moe_core.analysis.audit.null import Families, Null
from moe_core.analysis.audit.routing_frames import activation_frame, cell_frame, layer_frame
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.statistics import Exceedances


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutingResult:
    """`layers`: LAYER_COLUMNS, one row per layer in which two experts or more are used. `cells`: CELL_COLUMNS, one row
    per expert in use and contrast, NaN where it was not tested. `activation`: ACTIVATION_COLUMNS of a router with a
    varying number of experts, else None. `minimum_detectable`: median over the tested cells, in share. `critical_p`:
    the largest p_maxt that is significant over all families. `within_strata`: documents were compared within strata."""

    layers: pd.DataFrame
    cells: pd.DataFrame
    activation: pd.DataFrame | None
    minimum_detectable: float
    critical_p: float
    within_strata: bool

    @property
    def flagged(self) -> bool:
        """Whether anything is both significant over all families and large."""
        frames = [self.layers, self.cells, *([] if self.activation is None else [self.activation])]
        return any(bool(frame["flagged"].any()) for frame in frames)


def audit_routing(counts: RoutingCounts, settings: AuditSettings) -> tuple[RoutingResult, Null]:
    """Tests every layer, cell and contrast; the null goes to the self tests. Raises AuditError where there is nothing
    to compare."""
    families = Families.of(counts, settings)
    tested_C = families.shares.columns.tested_C
    t_KC = families.shares.t(counts.group_D)
    reached = Exceedances(np.abs(t_KC[:, tested_C]).ravel())
    null = Null.of(families, settings, reached)
    q_KC = np.full(t_KC.shape, np.nan)
    q_KC[:, tested_C] = benjamini_hochberg((1 + reached.count) / (reached.n + 1)).reshape(len(t_KC), -1)
    critical = null.joint.critical(settings.alpha, settings.permutations + 1)
    cells = cell_frame(null, t_KC, q_KC, critical, settings)
    result = RoutingResult(
        layers=layer_frame(null, cells, settings), cells=cells, activation=activation_frame(null, settings),
        minimum_detectable=float(cells["minimum_detectable"].median()), critical_p=critical,
        within_strata=counts.stratum_D is not None,
    )  # fmt: skip
    return result, null

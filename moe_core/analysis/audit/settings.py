"""What an audit takes as given: sizes, limits and conventions. Every one of them can be changed and is printed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_core.errors import AuditError


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditSettings:
    """Defaults and why: `docs/audit-method.md`. Raises AuditError for a value that makes no sense.

    min_difference (share, 0 to 1), ratio_low, ratio_high: a cell is flagged only beyond one of them. These, the ratio
    of rates of `outcome_ratio` and the relative difference `compute_difference` are conventions, not derived.
    """

    permutations: int = 999
    alpha: float = 0.05  # family-wise error of each of the three verdicts
    min_difference: float = 0.02
    ratio_low: float = 0.8
    ratio_high: float = 1.25
    cell_documents: int = 5  # cells used by fewer documents are not tested
    min_group: int | None = None  # documents of a tested group; None: see `smallest_tested`
    least_group: int = 5  # documents; never tested with fewer, unless min_group says so
    small_group: int = 20  # documents; below, the audit is called underpowered
    bootstrap_from: int = 100  # documents of a contrast, half of them on each side; below: Welch t
    bootstrap_to: int = 5_000  # above, both intervals agree to three digits, and Welch t costs nothing
    resamples: int = 2_000
    per_stratum: int = 2  # documents of each group that a stratum must have
    max_groups: int = 30
    shuffles: int = 200
    shuffle_limits: tuple[int, int] = (4, 17)  # of 200; scaled where there are more or fewer
    planted_log_odds: float = 0.8
    power: float = 0.8  # at which the minimum detectable difference is given
    compute_difference: float = 0.05
    outcome_ratio: float = 0.8
    reference: str | None = None  # None: the larger of two groups, or all others
    seed: int = 20_261

    def __post_init__(self) -> None:
        for name, low in (("permutations", 99), ("shuffles", 20), ("resamples", 100), ("least_group", 2),
                          ("small_group", 2), ("per_stratum", 1), ("cell_documents", 1),
                          ("max_groups", 2)):  # fmt: skip
            if getattr(self, name) < low:
                raise AuditError(f"The audit setting {name} is {getattr(self, name)}: give {low} or more.")
        if self.min_group is not None and self.min_group < 2:
            raise AuditError(f"A tested group has 2 documents or more: {self.min_group} was asked for.")
        for name in ("alpha", "power", "ratio_low", "outcome_ratio"):
            if not 0 < getattr(self, name) < 1:
                raise AuditError(f"The audit setting {name} is {getattr(self, name)}: give a number between 0 and 1.")
        if not (0 <= self.min_difference < 1 and self.ratio_high > 1 and self.compute_difference >= 0):
            raise AuditError(
                "The effect gates of the audit need 0 <= min_difference < 1, ratio_high > 1, compute_difference >= 0."
            )

    def smallest_tested(self, size_G: NDArray[np.int64]) -> int:
        """Documents that a group needs to be tested: `min_group` where it is given; else `small_group` where two groups
        have as many (fewer show nothing beside them), else `least_group`. By sizes only, never by results."""
        if self.min_group is not None:
            return self.min_group
        return self.small_group if int((size_G >= self.small_group).sum()) >= 2 else self.least_group

"""What a difference has to show before it is called specialization."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class SpecializationSettings:
    """`least_*`: of each half; below, a cell is not tested. `least_runs`: expected or seen, whichever is more.
    `least_effective`: documents of equal size that would say as much (Kish). `rate`: false discovery rate on the first
    half. A lift inside `gate_low` to `gate_high` is no specialization however certain it is: convention, as in the
    routing audit. `most_features`, `most_cells`: how many single tokens are tested, the frequent ones first."""

    least_documents: int = 10
    least_tokens: int = 50
    least_runs: int = 10
    least_effective: float = 5.0
    rate: float = 0.05
    gate_low: float = 0.8
    gate_high: float = 1.25
    most_tokens: int = 400
    most_cells: int = 400_000

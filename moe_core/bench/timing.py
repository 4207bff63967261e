"""Times contenders against each other: in every repetition all of them, one behind the other, in random order.

So a busy moment of the machine meets all alike. The spread of the machine itself shows in the row of a second dense
model (`dense-aa`), whose true ratio is 1.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from moe_core.bench.machine import EnergyCounter


@dataclass(slots=True)
class Samples:
    """Seconds of wall time and CPU time, and joules where the machine counts them, of every call; and its tokens."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    energy_j: list[float] = field(default_factory=list)
    tokens: int = 0

    def wall_ms(self, quantile: float) -> float:
        return 1000 * float(np.quantile(self.wall_s, quantile))


Run = Callable[[list[list[int]]], object]


def interleave(
    runs: dict[str, Run], batches: Sequence[list[list[int]]], *, repetitions: int, seed: int,
    stop_at: float | None = None, at_least: int = 1, energy: EnergyCounter | None = None,
) -> dict[str, Samples]:  # fmt: skip
    """Calls every run on batch 0, 1, 2, ... (again from 0 at the end), `repetitions` times in all.

    All runs see the same batch in a repetition. After `at_least` repetitions it ends at the moment `stop_at`
    (time.perf_counter) even if fewer than `repetitions` are done.
    """
    shuffle = random.Random(seed)  # noqa: S311  (an order of timing, no secret)
    samples = {name: Samples() for name in runs}
    order = list(runs)
    for repetition in range(repetitions):
        if stop_at is not None and repetition >= at_least and time.perf_counter() >= stop_at:
            break
        batch = batches[repetition % len(batches)]
        n_tokens = sum(map(len, batch))
        shuffle.shuffle(order)
        for name in order:
            joules = energy.joules() if energy else None
            cpu, wall = time.process_time(), time.perf_counter()
            runs[name](batch)
            wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
            into = samples[name]
            into.wall_s.append(wall_s)
            into.cpu_s.append(cpu_s)
            into.tokens += n_tokens
            if energy and joules is not None:
                into.energy_j.append(energy.joules() - joules)
    return samples

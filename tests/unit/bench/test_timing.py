"""Interleaving: everybody sees the same batches, in an order that changes, as often as asked."""

import time
from collections import Counter
from pathlib import Path

import pytest

from moe_core.bench.machine import EnergyCounter, cpu_model, describe_energy
from moe_core.bench.timing import interleave

Calls = list[tuple[str, int]]


def recorders(calls: Calls) -> dict[str, object]:
    return {name: (lambda batch, name=name: calls.append((name, batch[0][0]))) for name in ("dense", "a", "b")}


def test_every_variant_runs_once_on_the_same_batch_before_the_next_repetition() -> None:
    """Otherwise a busy moment of the machine would meet one variant only."""
    calls: Calls = []
    samples = interleave(recorders(calls), [[[0]], [[1, 1]], [[2]]], repetitions=7, seed=1)  # type: ignore[arg-type]
    rounds = [calls[start : start + 3] for start in range(0, len(calls), 3)]
    assert len(rounds) == 7
    for number, members in enumerate(rounds):
        assert {name for name, _ in members} == {"dense", "a", "b"}
        assert {batch for _, batch in members} == {number % 3}
    assert len({tuple(name for name, _ in members) for members in rounds}) > 1  # the order changes
    assert Counter(name for name, _ in calls) == {"dense": 7, "a": 7, "b": 7}
    assert {len(part.wall_s) for part in samples.values()} == {7}
    assert {part.tokens for part in samples.values()} == {1 + 2 + 1 + 1 + 2 + 1 + 1}


def test_the_order_is_the_same_for_the_same_seed() -> None:
    """A run can be repeated."""
    first, second, other = [], [], []  # type: ignore[var-annotated]
    for calls, seed in ((first, 1), (second, 1), (other, 2)):
        interleave(recorders(calls), [[[0]]], repetitions=12, seed=seed)  # type: ignore[arg-type]
    assert first == second != other


def test_a_late_run_stops_early_but_not_before_its_least_repetitions() -> None:
    """`--quick` keeps its promise on a slow machine, and percentiles keep their sample."""
    calls: Calls = []
    past = time.perf_counter() - 1
    interleave(recorders(calls), [[[0]]], repetitions=50, seed=1, stop_at=past, at_least=4)  # type: ignore[arg-type]
    assert len(calls) == 4 * 3


def test_energy_is_measured_where_the_kernel_counts_it_and_else_called_estimated(tmp_path: Path) -> None:
    """No figure pretends to be measured."""
    assert describe_energy(EnergyCounter(tmp_path)).startswith("estimated")
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    (zone / "energy_uj").write_text("2500000\n")
    counter = EnergyCounter(tmp_path)
    assert describe_energy(counter).startswith("measured")
    assert counter.joules() == 2.5
    samples = interleave({"dense": len}, [[[0]]], repetitions=2, seed=0, energy=counter)
    assert samples["dense"].energy_j == [0.0, 0.0]


@pytest.mark.parametrize(("content", "name"), [("model name\t: Some CPU\n", "Some CPU")])
def test_the_processor_is_named(tmp_path: Path, content: str, name: str) -> None:
    """A ratio belongs to a machine."""
    (tmp_path / "cpuinfo").write_text(content)
    assert cpu_model(tmp_path / "cpuinfo") == name
    assert cpu_model(tmp_path / "absent")

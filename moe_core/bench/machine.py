"""What a figure was measured on: processor, load, versions, memory, energy."""

import os
import platform
import resource
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

POWERCAP = Path("/sys/class/powercap")
WATTS_PER_CORE = (
    4.0  # assumed for a busy core of a server processor (360 W for 96 cores); only where nothing is counted
)


class EnergyCounter:
    """Joules that the processor packages used, from the kernel's powercap interface; `available` says if readable."""

    def __init__(self, folder: Path = POWERCAP) -> None:
        self._files = [path for path in sorted(folder.glob("*rapl:[0-9]/energy_uj")) if os.access(path, os.R_OK)]

    @property
    def available(self) -> bool:
        return bool(self._files)

    def joules(self) -> float:
        """A running count; it wraps after hours."""
        return sum(int(path.read_text()) for path in self._files) / 1e6


def describe_energy(counter: EnergyCounter) -> str:
    if counter.available:
        return "measured: package energy from powercap, everything else on the machine included"
    return f"estimated: CPU seconds x {WATTS_PER_CORE:g} W, an assumed figure for one busy core"


def cpu_model(path: Path = Path("/proc/cpuinfo")) -> str:
    try:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def load_average() -> float | None:
    """Of the last minute; None where the system keeps none."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0 if platform.system() == "Linux" else 1024.0**2)


def machine() -> dict[str, Any]:
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "torch": version("torch"),
    }

"""Requests that were answered and are not in the log, because its queue was full or they cannot be stored: counted,
never silent.

A manifest line of the kind `unrecorded` stands before everything that was handed over after them, and before the end of
their run. So a crash cannot make a run look complete: either it has that line, or it has no end.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

WhenFull = Literal["wait", "incomplete"]
WHEN_FULL: tuple[WhenFull, ...] = ("wait", "incomplete")


@dataclass(frozen=True, kw_only=True, slots=True)
class Unrecorded:
    """How much of a run, or of several, is not in the log."""

    requests: int = 0
    tokens: int = 0
    decisions: int = 0

    def __add__(self, other: "Unrecorded") -> "Unrecorded":
        return Unrecorded(
            requests=self.requests + other.requests,
            tokens=self.tokens + other.tokens,
            decisions=self.decisions + other.decisions,
        )

    def to_fields(self, run_id: str) -> dict[str, Any]:
        return {"run_id": run_id, **asdict(self)}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Unrecorded":
        """Raises ValueError, KeyError or TypeError where the line does not count anything."""
        counts = {name: int(fields[name]) for name in ("requests", "tokens", "decisions")}
        if min(counts.values()) < 0 or counts["requests"] == 0:
            raise ValueError(f"{counts} cannot be counts of what was not recorded")
        return cls(**counts)

    def sentence(self, run_id: str) -> str:
        return (
            f"Run {run_id!r} is incomplete: {self.requests:,} requests with {self.decisions:,} decisions were answered "
            "and are not recorded, because the queue of the log was full or they could not be stored."
        )

"""A logged request, run again: the same decisions, bit for bit, or what differs.

Sums in another order end in other last bits, so a request is run again with those it was answered with, with as many
threads, and in the same order. Numbers are compared as the log keeps them, in its steps.

Shape letters: N decisions.
"""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from moe_core.errors import InputError
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting, TextRequest
from moe_core.records import RequestRecord, RoutingBatch, RunRecord

KEY = ("position", "layer", "expert_id")
COMPARED = ("rank", "selected", "flags", "logit", "prob", "gate_weight", "margin")
SHOWN = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedRun:
    """What the log says about how a request was run. `config` and `software` as in `RunRecord`."""

    request_id: str
    run_id: str
    model: str
    model_sha256: str
    source: str
    mode: str
    config: Mapping[str, Any]
    software: Mapping[str, str]
    text: str | None

    @classmethod
    def of(cls, request_id: str, row: Mapping[str, Any]) -> "LoggedRun":
        """row: as `queries.run_of_request`; `config` and `software` are JSON. What is no text is missing."""
        found = {name: row[name] if isinstance(row[name], str) else None for name in ("config", "software", "text")}
        return cls(
            request_id=request_id, run_id=str(row["run_id"]), model=str(row["model"]),
            model_sha256=str(row["model_sha256"]), source=str(row["source"]), mode=str(row["mode"]),
            config=json.loads(found["config"] or "null") or {},
            software=json.loads(found["software"] or "null") or {}, text=found["text"],
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One decision of the log that is not the one of now. what: "only in the log", "only now" or a column."""

    position: int
    layer: int
    expert_id: int
    what: str
    logged: float | None = None
    now: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayReport:
    """same: every decision and every number of it. n_choices: decisions of which expert runs that differ, n_values:
    those with the same choice and another number. around: sentences on what is not as it was."""

    request_id: str
    same: bool
    n_decisions: int
    n_differ: int
    n_choices: int
    n_values: int
    answered_with: int
    around: tuple[str, ...]
    differences: tuple[Difference, ...] = field(default=())


def setting_of(run: LoggedRun) -> Setting:
    """The setting of a logged run. Raises InputError where the run cannot be run again."""
    values = run.config.get("setting")
    if not isinstance(values, Mapping):
        raise InputError(
            f"Run {run.run_id} (source {run.source}) did not record how it was run, so it cannot be run again: "
            "only runs of RouteLens itself can."
        )
    if run.mode == "dense":
        raise InputError(f"Run {run.run_id} is dense: the original decides nothing, so there is nothing to explain.")
    if run.text is None:
        raise InputError(f"The text of request {run.request_id} was redacted or not recorded: it cannot be run again.")
    known = {name: value for name, value in values.items() if name in Setting.__dataclass_fields__}
    try:
        thresholds = known.get("thresholds_L")
        known["thresholds_L"] = None if thresholds is None else tuple(float(v) for v in thresholds)
        known["unavailable"] = tuple((int(layer), int(expert)) for layer, expert in known.get("unavailable") or ())
        return Setting(**known)
    except (TypeError, ValueError) as error:
        raise InputError(f"The setting of run {run.run_id} in the log cannot be understood ({error}).") from error


def around(run: LoggedRun, model: RoutedModel) -> list[str]:
    """What is not as it was: model, software, threads."""
    found = []
    if run.model_sha256 != model.sha256:
        found.append(f"model: then {run.model} {run.model_sha256[:12]}, now {model.name} {model.sha256[:12]}")
    now = {"torch": version("torch"), "python": platform.python_version(), "threads": str(torch.get_num_threads())}
    found += [
        f"{name}: then {run.software[name]}, now {value}" for name, value in now.items()
        if run.software.get(name, value) != value
    ]  # fmt: skip
    return found


class Kept:
    """A sink that keeps the decisions of one run."""

    def __init__(self) -> None:
        self.parts: list[tuple[list[str], RoutingBatch]] = []

    def begin_run(self, run: RunRecord) -> None:
        """Nothing to prepare."""

    def append(self, requests: Sequence[RequestRecord], decisions: RoutingBatch) -> None:
        self.parts.append(([request.request_id for request in requests], decisions))

    def flush(self) -> None:
        """All is kept."""

    def close(self) -> None:
        """Nothing to let go of."""


def run_again(model: RoutedModel, setting: Setting, texts: Sequence[str], number: int) -> RoutingBatch:
    """The decisions of text `number` of those that are answered together."""
    kept = Kept()
    session = model.session(setting, kept)
    answers = session.answer([TextRequest(text=text) for text in texts])
    wanted = answers[number].request_id
    names, batch = next(part for part in kept.parts if wanted in part[0])
    rows_N = batch.request_index_N == names.index(wanted)
    columns = {name: getattr(batch, name)[rows_N] for name in RoutingBatch.__dataclass_fields__}
    return RoutingBatch(**{**columns, "request_index_N": np.zeros(int(rows_N.sum()), np.uint32)})


def compare(
    run: LoggedRun, logged: Mapping[str, NDArray[Any]], now: Mapping[str, NDArray[Any]], *, answered_with: int,
    around: Sequence[str],
) -> ReplayReport:  # fmt: skip
    """logged, now: columns KEY and COMPARED, (N,) each, numbers in the steps of the log."""
    then, today = (_by_key(columns) for columns in (logged, now))
    differences: list[Difference] = []
    n_choices = n_values = 0
    for key in sorted(then.keys() | today.keys()):
        position, layer, expert = key
        if key not in then or key not in today:
            what = "only now" if key not in then else "only in the log"
            differences.append(Difference(position=position, layer=layer, expert_id=expert, what=what))
            n_choices += 1
            continue
        columns = [(n, a, b) for n, a, b in zip(COMPARED, then[key], today[key], strict=True) if a != b]
        if columns:
            name, a, b = columns[0]
            chose = any(n in ("selected", "flags") for n, _, _ in columns)
            n_choices, n_values = n_choices + chose, n_values + (not chose)
            differences.append(
                Difference(position=position, layer=layer, expert_id=expert, what=name, logged=float(a), now=float(b))
            )
    return ReplayReport(
        request_id=run.request_id, same=not differences, n_decisions=len(then), n_differ=len(differences),
        n_choices=n_choices, n_values=n_values, answered_with=answered_with, around=tuple(around),
        differences=tuple(differences[:SHOWN]),
    )  # fmt: skip


def _by_key(columns: Mapping[str, NDArray[Any]]) -> dict[tuple[int, int, int], tuple[int, ...]]:
    keys = zip(*(columns[name].tolist() for name in KEY), strict=True)
    values = zip(*(columns[name].astype(np.int64).tolist() for name in COMPARED), strict=True)
    return dict(zip(keys, values, strict=True))

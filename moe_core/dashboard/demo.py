"""The bundled demo requests: read them, and run them through the model in three settings.

The dense original runs too, so that the log can say how often the answers agree. Everything is recorded with
the source "demo", which pages show as demo data.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moe_core.analysis.message import N_
from moe_core.errors import InputError
from moe_core.log.writer import SegmentSink
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting, TextRequest

SOURCE = "demo"
BATCH = 24
BUDGETS = (0.5, 0.35)
# the domains of the demo requests, as pages show them
DOMAINS = (
    N_("customer support"),
    N_("product reviews"),
    N_("film and books"),
    N_("travel and hotels"),
    N_("banking and insurance"),
    N_("public services"),
    N_("health appointments"),
    N_("workplace"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """`done` of `total` answers are recorded."""

    done: int
    total: int


def read_demo(path: Path) -> list[TextRequest]:
    """The demo requests of a JSON-lines file with the keys text, domain, label, attributes.

    Raises InputError where the file is missing or a line cannot be read.
    """
    if not path.exists():
        raise InputError(f"The demo requests are missing at {path}: restore the file, or run `routelens infer TEXT`.")
    requests = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                requests.append(_request(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(f"{path}, line {number}: not a demo request ({error}): restore the file.") from error
    if not requests:
        raise InputError(f"{path} holds no demo request: restore the file.")
    return requests


def run_demo(model: RoutedModel, store: Path, requests: list[TextRequest]) -> Iterator[Progress]:
    """Answer all demo requests in dense mode and at each budget; yields after every batch. The caller holds the
    inference lock."""
    settings = [Setting(mode="dense", budget=1.0, head=model.default_head)]
    settings += [Setting(mode="adaptive", budget=budget, head=model.default_head) for budget in BUDGETS]
    total, done = len(requests) * len(settings), 0
    with SegmentSink(store) as sink:
        for setting in settings:
            session = model.session(setting, sink, source=SOURCE, actor="dashboard")
            for start in range(0, len(requests), BATCH):
                batch = requests[start : start + BATCH]
                session.answer(batch, first_number=start + 1)
                done += len(batch)
                yield Progress(done=done, total=total)
            sink.flush()


def _request(row: Mapping[str, Any]) -> TextRequest:
    attributes = {str(key): str(value) for key, value in (row.get("attributes") or {}).items()}
    return TextRequest(
        text=str(row["text"]),
        domain=row.get("domain"),
        reference_label=row.get("label"),
        attributes=attributes,
    )

"""The same audit over time: the documents of every window, and what each of them says.

Windows follow one another without overlap from the first document on: of one length of time, or so many with equal
numbers of documents. Each is audited on its own, routing, compute and outcome, at alpha divided by the number of
windows that are audited (Bonferroni): with a verdict's alpha of 5 %, at most 5 % of logs without a difference have an
alarm of that verdict in any window. Labels are permuted as often as such a small level needs.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_core.analysis.audit.compute import audit_compute
from moe_core.analysis.audit.contrasts import large_groups
from moe_core.analysis.audit.counts import RoutingCounts
from moe_core.analysis.audit.documents import Documents
from moe_core.analysis.audit.outcome import Outcomes, audit_outcome
from moe_core.analysis.audit.routing import audit_routing
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.message import N_, Message
from moe_core.errors import AuditError

COLUMNS = ("start", "end", "documents", "smallest_group", "audited", "reason", "p", "largest_difference",
           "minimum_detectable", "flagged", "compute_p", "compute_ratio", "compute_flagged", "outcome_p",
           "outcome_difference", "outcome_flagged")  # fmt: skip
LENGTHS = {"hour": pd.Timedelta("1h"), "day": pd.Timedelta("1D"), "week": pd.Timedelta("7D")}
MOST_WINDOWS = 100
_STEPS = 10  # steps of 1 / (B + 1) that fit into the level of a window
TOO_FEW = N_("fewer than two groups have {n} documents")
NOTHING = N_("no expert differs between its documents")


@dataclass(frozen=True, slots=True)
class Window:
    """Documents that began from `start` until before `end`; `keep_D` marks them among all."""

    start: pd.Timestamp
    end: pd.Timestamp
    counts: RoutingCounts
    keep_D: NDArray[np.bool_]


def window_length(text: str) -> pd.Timedelta | int:
    """`hour`, `day`, `week`, or how many windows with equal numbers of documents. Raises AuditError for others."""
    if text in LENGTHS:
        return LENGTHS[text]
    if text.isdecimal() and 2 <= int(text) <= MOST_WINDOWS:
        return int(text)
    raise AuditError(
        f"Windows of {text!r} cannot be made: give hour, day, week, or a number of windows from 2 to {MOST_WINDOWS}."
    )


def windows(documents: Documents, length: pd.Timedelta | int) -> list[Window]:
    """Every window in which a document began, in order; a document counts where its first request began. Raises
    AuditError for a length that is none, and for too many windows."""
    began_D = documents.requests["started_at"].groupby(documents.document_R).min().reset_index(drop=True)
    if isinstance(length, int):
        return _equal_numbers(documents.counts, began_D, length)
    if not length > pd.Timedelta(0):
        raise AuditError(f"Windows of {length} cannot be made: give a length of time above 0.")
    number_D = ((began_D - began_D.min()) // length).to_numpy(np.int64)
    numbers = np.unique(number_D)
    if len(numbers) > MOST_WINDOWS:
        raise AuditError(
            f"Windows of {length} divide these documents into {len(numbers)}, at most {MOST_WINDOWS} are audited: make "
            "them longer, or give their number."
        )
    found = []
    for number in numbers:
        start, keep_D = began_D.min() + int(number) * length, number_D == number
        found.append(Window(start, start + length, documents.counts.of(keep_D), keep_D))
    return found


def watch(
    documents: Documents, length: pd.Timedelta | int, settings: AuditSettings, outcomes: Outcomes | None = None
) -> pd.DataFrame:
    """-> COLUMNS, one row per window. p, flagged: of routing, p the smallest over all layers, experts and groups;
    largest_difference: in share, between groups; compute_ratio: furthest from 1; outcome_difference: of the rate of
    favourable outcomes; NaN where there is none. Windows with fewer than two large groups are listed and not audited;
    `reason` (a Message) says why."""
    made = windows(documents, length)
    large = [_tested(window.counts, documents.group_column, settings) for window in made]
    each = settings_of_window(settings, sum(names is not None for names in large))
    rows = []
    for window, names in zip(made, large, strict=True):
        row: dict[str, object] = dict.fromkeys(COLUMNS, np.nan) | {
            "start": window.start, "end": window.end, "documents": window.counts.n_documents,
            "smallest_group": int(window.counts.size_G.min()), "audited": False, "flagged": False,
            "compute_flagged": False, "outcome_flagged": False,
            "reason": Message(TOO_FEW, {"n": settings.smallest_tested(window.counts.size_G)}),
        }  # fmt: skip
        if names is not None:
            inside = np.isin(documents.counts.group_D, [documents.counts.groups.index(name) for name in names])
            row |= _summary(documents, outcomes, window.keep_D & inside, names, each)
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def settings_of_window(settings: AuditSettings, audited: int) -> AuditSettings:
    """The level of one of `audited` windows, and permutations enough to reach it."""
    alpha = settings.alpha / max(audited, 1)
    return replace(settings, alpha=alpha, permutations=max(settings.permutations, math.ceil(_STEPS / alpha) - 1))


def _equal_numbers(counts: RoutingCounts, began_D: pd.Series, n: int) -> list[Window]:
    """Documents in order of time, cut into `n`; documents of one moment stay together."""
    place_D = began_D.rank(method="min").to_numpy(np.int64) - 1
    number_D = place_D * n // len(place_D)
    if len(np.unique(number_D)) < n:
        raise AuditError(
            f"These documents cannot be divided into {n} windows: too many of them began at one moment; give fewer."
        )
    starts = [began_D[number_D == number].min() for number in range(n)]
    ends = [*starts[1:], began_D.max() + pd.Timedelta(1, "us")]
    return [
        Window(start, end, counts.of(number_D == number), number_D == number)
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def _tested(counts: RoutingCounts, column: str, settings: AuditSettings) -> tuple[str, ...] | None:
    """The groups that are large enough; None where fewer than two are."""
    try:
        return large_groups(counts.size_G, counts.groups, column, settings)
    except AuditError:
        return None


def _summary(
    documents: Documents, outcomes: Outcomes | None, keep_D: NDArray[np.bool_], names: tuple[str, ...],
    settings: AuditSettings,
) -> dict[str, object]:  # fmt: skip
    part = documents.of(keep_D, names)
    found: dict[str, object] = {"audited": True, "reason": None}
    try:
        routing = audit_routing(part.counts, settings)[0]
    except AuditError:
        return {"reason": Message(NOTHING)}
    found |= {
        "p": float(min(routing.layers["p_joint"].min(), routing.cells["p_joint"].min())),
        "largest_difference": float(routing.cells["difference"].abs().max()),
        "minimum_detectable": routing.minimum_detectable, "flagged": routing.flagged,
    }  # fmt: skip
    compute = audit_compute(part, settings)
    ratio = compute.metrics["ratio"].astype(float).dropna()
    if len(ratio):
        furthest = float(ratio.loc[(ratio - 1).abs().idxmax()])
        found |= {"compute_p": float(compute.metrics["p_maxt"].astype(float).min()), "compute_ratio": furthest,
                  "compute_flagged": compute.flagged}  # fmt: skip
    if outcomes is not None:
        answers = audit_outcome(outcomes.of(keep_D), part.counts, settings)
        if len(answers.differences):
            parity = answers.parity.set_index("metric")["value"]
            found |= {
                "outcome_p": float(answers.differences["p_maxt"].astype(float).min()),
                "outcome_difference": float(parity["demographic_parity_difference"]),
                "outcome_flagged": answers.flagged,
            }  # fmt: skip
    return found

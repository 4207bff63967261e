"""The same audit over time: the documents of every window, and what each of them says.

Windows follow one another without overlap from the first document on. Each is audited on its own, at alpha divided by
the number of windows that are audited (Bonferroni), so that watching for a year does not make an alarm likely.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from moe_core.analysis.audit.contrasts import large_groups
from moe_core.analysis.audit.counts import RoutingCounts
from moe_core.analysis.audit.documents import Documents
from moe_core.analysis.audit.routing import RoutingResult, audit_routing
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.errors import AuditError

COLUMNS = ("start", "end", "documents", "smallest_group", "audited", "reason", "p", "largest_difference",
           "minimum_detectable", "flagged")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Window:
    """Documents that began from `start` until before `end`; `counts` holds those of all groups that occur."""

    start: pd.Timestamp
    end: pd.Timestamp
    counts: RoutingCounts


def windows(documents: Documents, length: pd.Timedelta) -> list[Window]:
    """Every window in which a document began, in order; a document counts where its first request began. Raises
    AuditError for a length that is none."""
    if not length > pd.Timedelta(0):
        raise AuditError(f"Windows of {length} cannot be made: give a length of time above 0.")
    began_D = documents.requests["started_at"].groupby(documents.document_R).min().reset_index(drop=True)
    number_D = ((began_D - began_D.min()) // length).to_numpy(np.int64)
    found = []
    for number in np.unique(number_D):
        start = began_D.min() + int(number) * length
        found.append(Window(start, start + length, documents.counts.of(number_D == number)))
    return found


def watch(documents: Documents, length: pd.Timedelta, settings: AuditSettings) -> pd.DataFrame:
    """-> COLUMNS, one row per window. p: smallest over all layers, experts and groups; largest_difference: in share,
    between groups; windows with fewer than two groups of `min_group` documents are listed and not audited."""
    made = windows(documents, length)
    large = [_tested(window.counts, documents.group_column, settings) for window in made]
    n_audited = sum(isinstance(counts, RoutingCounts) for counts in large)
    each = replace(settings, alpha=settings.alpha / max(n_audited, 1))
    rows = []
    for window, counts in zip(made, large, strict=True):
        row: dict[str, object] = {
            "start": window.start, "end": window.end, "documents": window.counts.n_documents,
            "smallest_group": int(window.counts.size_G.min()), "audited": False, "reason": counts, "p": np.nan,
            "largest_difference": np.nan, "minimum_detectable": np.nan, "flagged": False,
        }  # fmt: skip
        if isinstance(counts, RoutingCounts):
            row |= {"audited": True, "reason": "", **_summary(counts, each)}
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _tested(counts: RoutingCounts, column: str, settings: AuditSettings) -> RoutingCounts | str:
    """The groups that are large enough, or why there is nothing to compare."""
    try:
        large = large_groups(counts.size_G, counts.groups, column, settings.min_group)
    except AuditError as error:
        return str(error)
    keep_D = np.isin(counts.group_D, [counts.groups.index(name) for name in large])
    return counts.of(keep_D, large)


def _summary(counts: RoutingCounts, settings: AuditSettings) -> dict[str, object]:
    try:
        result: RoutingResult = audit_routing(counts, settings)[0]
    except AuditError as error:
        return {"audited": False, "reason": str(error)}
    return {
        "p": float(min(result.layers["p_joint"].min(), result.cells["p_joint"].min())),
        "largest_difference": float(result.cells["difference"].abs().max()),
        "minimum_detectable": result.minimum_detectable, "flagged": result.flagged,
    }  # fmt: skip

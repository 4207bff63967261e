"""Which groups are compared with which."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_core.analysis.audit.settings import AuditSettings
from moe_core.errors import AuditError, GroupTooSmallError

ALL_OTHERS = "all others"
SIZE_CLASSES = (10, 20, 50, 200)  # documents of the smaller side at which the next class begins


@dataclass(frozen=True, slots=True)
class Contrast:
    """Group number `group` against number `reference`, or against all other documents (None). `size_class`: how many
    of SIZE_CLASSES its smaller side reaches. Welch's t of few documents has far heavier tails than that of many, so
    that contrasts of one class share a maximum, and classes are joined by their smallest p."""

    group: int
    reference: int | None
    size_class: int = 0


def contrasts_of(size_G: NDArray[np.int64], groups: tuple[str, ...], reference: str | None) -> tuple[Contrast, ...]:
    """Two groups: the smaller against the larger (of equal ones, the later name against the earlier). More: each
    against all others. With a named `reference`: each other group against that one. Raises AuditError for a name that
    is none of the groups."""
    if reference is not None:
        if reference not in groups:
            raise AuditError(f"The reference {reference!r} is none of the tested groups: {shown(groups)}.")
        against = groups.index(reference)
        pairs: list[tuple[int, int | None]] = [(g, against) for g in range(len(groups)) if g != against]
    elif len(groups) == 2:
        against = int(np.argmax(size_G))
        pairs = [(1 - against, against)]
    else:
        pairs = [(g, None) for g in range(len(groups))]
    found = []
    for g, other in pairs:
        against_n = int(size_G.sum()) - int(size_G[g]) if other is None else int(size_G[other])
        smaller = min(int(size_G[g]), against_n)
        found.append(Contrast(g, other, int(np.searchsorted(SIZE_CLASSES, smaller, side="right"))))
    return tuple(found)


def reference_name(contrast: Contrast, groups: tuple[str, ...]) -> str:
    return ALL_OTHERS if contrast.reference is None else groups[contrast.reference]


def check_groups(groups: tuple[str, ...], column: str, max_groups: int) -> None:
    """Raises AuditError where there is nothing to compare, or too much."""
    if len(groups) < 2:
        which = f"only the group {groups[0]!r}" if groups else "no value"
        raise AuditError(
            f"Column {column!r} has {which} in the audited documents; an audit compares two or more groups."
        )
    if len(groups) > max_groups:
        raise AuditError(
            f"Column {column!r} has {len(groups)} different values, an audit compares at most {max_groups} groups: "
            "put them into fewer (bands of numbers, 'other' for rare ones) in a new attribute and audit by that one."
        )


def large_groups(
    size_G: NDArray[np.int64], groups: tuple[str, ...], column: str, settings: AuditSettings, where: str = ""
) -> tuple[str, ...]:
    """The groups that are large enough, `AuditSettings.smallest_tested`. `where`: said of the documents in the message.

    Raises GroupTooSmallError where fewer than two are.
    """
    min_group = settings.smallest_tested(size_G)
    large = tuple(name for name, n in zip(groups, size_G, strict=True) if n >= min_group)
    if len(large) < 2:
        small = int(np.argmin(size_G))
        raise GroupTooSmallError(
            f"Group {groups[small]!r} of column {column!r} has {size_G[small]} "
            f"{'document' if size_G[small] == 1 else 'documents'}{where}, and {len(large)} of {len(groups)} groups "
            f"have {min_group} or more: an audit needs two such groups, and 20 documents "
            "in each to see anything; record more, or merge groups."
        )
    return large


def shown(groups: tuple[str, ...], most: int = 8) -> str:
    """Names for a message, not endless."""
    names = ", ".join(repr(name) for name in groups[:most])
    return names if len(groups) <= most else f"{names} and {len(groups) - most} more"

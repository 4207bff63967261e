"""Which columns an audit can be asked about, and what would be chosen if nobody chose: for forms."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from moe_core.analysis.audit.audit import FREQUENCY, LENGTH
from moe_core.analysis.audit.columns_of_requests import as_numbers, attribute_keys, column
from moe_core.analysis.audit.outcome_columns import FAVOURABLE
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.errors import AuditError

GROUP_COLUMNS = ("domain", "label", "reference_label", "actor", "mode", "budget")
OUTCOME_COLUMNS = ("label", "reference_label", "score")
STRATA_COLUMNS = ("domain", "label", "reference_label", "mode", "budget")
UNIT_COLUMNS = ("actor",)
ASKED_LAST = ("label", "reference_label", "mode", "budget")


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """Names for each part of a question, attributes first (as strata, `length` and `frequency` are those of the
    text); `default_group` None where nothing divides the requests."""

    attributes: tuple[str, ...]
    groups: tuple[str, ...]
    outcomes: tuple[str, ...]
    strata: tuple[str, ...]
    units: tuple[str, ...]
    default_group: str | None
    default_outcome: str | None


def choices(requests: pd.DataFrame, settings: AuditSettings) -> Choices:
    """requests: one row per request, as `audit_requests`. A column is offered where some value of it is known; as a
    unit only where several requests share a value."""
    keys = attribute_keys(requests)
    known = {
        name: values
        for name in dict.fromkeys([*keys, *GROUP_COLUMNS, *OUTCOME_COLUMNS])
        if (values := column(requests, name, "the form").dropna()).size
    }
    groups = tuple(name for name in [*keys, *GROUP_COLUMNS] if name in known)
    units = tuple(
        name for name in dict.fromkeys([*keys, *UNIT_COLUMNS])
        if name in known and 1 < known[name].astype(str).nunique() < len(requests)
    )  # fmt: skip
    sizes = {name: known[name].astype(str).value_counts() for name in groups}
    label = known.get("label")
    return Choices(
        attributes=tuple(keys),
        groups=tuple(dict.fromkeys(groups)),
        outcomes=tuple(dict.fromkeys(name for name in [*OUTCOME_COLUMNS, *keys] if name in known)),
        strata=tuple(
            dict.fromkeys([LENGTH, FREQUENCY, *(name for name in [*keys, *STRATA_COLUMNS] if name in known)])
        ),
        units=units,
        default_group=_default_group(sizes, settings),
        default_outcome="label" if label is not None and 1 < label.astype(str).nunique() <= 30 else None,
    )


def can_compare(requests: pd.DataFrame, name: str | None, settings: AuditSettings) -> bool:
    """Whether two values of the column have as many requests as a tested group needs; `name` None: of the column with
    which a form would begin."""
    chosen = choices(requests, settings).default_group if name is None else name
    try:
        sizes = column(requests, str(chosen), "the form").dropna().astype(str).value_counts()
    except AuditError:
        return False
    return int((sizes >= settings.smallest_tested(sizes.to_numpy())).sum()) >= 2 and len(sizes) <= settings.max_groups


def values_of(requests: pd.DataFrame, name: str) -> list[str]:
    """The known values of a column as texts, sorted; empty for a column of numbers with more than two, which is cut at
    its median."""
    values = column(requests, name, "the form").dropna()
    texts = sorted(set(values.astype(str)))
    return [] if len(texts) > 2 and as_numbers(values) is not None else texts


def usual_favourable(values: Sequence[str]) -> str | None:
    """The one value that is favourable as a rule (positive, yes, 1, ...), else the last; None of no values."""
    usual = [value for value in values if value.strip().lower() in FAVOURABLE]
    return usual[0] if len(usual) == 1 else (values[-1] if values else None)


def group_sizes(requests: pd.DataFrame, name: str) -> pd.DataFrame:
    """-> (group, requests, tokens) one row per value of the column, largest first; group None where not known."""
    groups = column(requests, name, "the form")
    frame = pd.DataFrame({"group": groups.map(str, na_action="ignore"), "tokens": requests["n_tokens"]})
    sizes = frame.groupby("group", dropna=False, as_index=False).agg(
        requests=("tokens", "size"), tokens=("tokens", "sum")
    )
    sizes["group"] = sizes["group"].astype(object).where(sizes["group"].notna(), None)
    return sizes.sort_values(["requests", "group"], ascending=[False, True], ignore_index=True)


def _default_group(sizes: dict[str, "pd.Series[int]"], settings: AuditSettings) -> str | None:
    """The column with the fewest groups among those with two that are large enough to see anything, then among those
    with two that can be tested at all, then the first; what was answered or set is asked last."""
    for least in (settings.small_group, settings.least_group):
        for is_last in (False, True):
            fitting = {
                name: len(size) for name, size in sizes.items()
                if (name in ASKED_LAST) == is_last and len(size) <= settings.max_groups and (size >= least).sum() >= 2
            }  # fmt: skip
            if fitting:
                return min(fitting, key=fitting.__getitem__)
    return next(iter(sizes), None)

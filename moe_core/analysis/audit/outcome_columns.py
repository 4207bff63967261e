"""From the requests of an audit to outcomes: which value is favourable, and what is known of the right answer."""

import numpy as np
import pandas as pd

from moe_core.analysis.audit.columns_of_requests import as_numbers, column
from moe_core.analysis.audit.contrasts import shown
from moe_core.analysis.audit.documents import Documents, of_documents
from moe_core.analysis.audit.outcome import Outcomes
from moe_core.analysis.message import N_, Message
from moe_core.errors import AuditError

# Of two values the one that is favourable, if nobody says otherwise.
FAVOURABLE = ("1", "true", "yes", "positive", "pos", "approved", "accepted", "accept", "hired", "hire", "good",
              "selected", "granted", "pass", "passed", ">50k")  # fmt: skip

NO_RIGHT_ANSWER = N_("no right answer is '{value}', so that error rates are left out")
TAKEN = N_("'{value}' was taken as favourable; --favourable changes that")
ABOVE = N_("above the median {median:g}")
ABOVE_MEDIAN = N_("a number is favourable above the median of all requests")


def outcomes_of(documents: Documents, name: str, favourable: str | None) -> Outcomes:
    """The outcome is favourable where column `name` has the value `favourable`; a column of numbers without one: where
    it lies above its median. Raises AuditError for a column that is missing, all unknown, has NaN, one value only, or
    more than two values and nobody says which is favourable."""
    requests = documents.requests
    value_R = column(requests, name, "--outcome")
    _refuse_nan(value_R, name)
    known_R = value_R.notna().to_numpy()
    if not known_R.any():
        raise AuditError(f"Column {name!r} has no value in the audited requests: there is no outcome to compare.")
    favourable_R, what, meaning, notes = _favourable(value_R, name, favourable)
    right_R = _right(requests, name)
    known_right_R = right_R.notna().to_numpy()
    is_right_R = (right_R.astype(str) == what).to_numpy() if what in set(right_R.dropna().astype(str)) else None
    if is_right_R is None and known_right_R.any():
        notes.append(Message(NO_RIGHT_ANSWER, {"value": what}))
    nothing = pd.Series(np.nan, index=requests.index)
    rate = pd.Series(favourable_R.astype(float), index=requests.index).where(known_R)
    both = known_R & known_right_R
    positive, negative, base = nothing, nothing, nothing
    if is_right_R is not None:
        positive, negative = rate.where(both & is_right_R), rate.where(both & ~is_right_R)
        base = pd.Series(is_right_R.astype(float), index=requests.index).where(known_right_R)
    scored = requests["label"].notna() & requests["reference_label"].notna() & requests["score"].notna()
    correct = (requests["label"].astype(str) == requests["reference_label"].astype(str)).astype(float)
    gap = (requests["score"] - correct).where(scored) if name == "label" else nothing
    return Outcomes(
        column=name, favourable=meaning,
        favourable_D=of_documents(documents, rate, "mean"), positive_D=of_documents(documents, positive, "mean"),
        negative_D=of_documents(documents, negative, "mean"), base_D=of_documents(documents, base, "mean"),
        gap_D=of_documents(documents, gap, "mean"), single=len(requests) == documents.n,
        unknown=int((~known_R).sum()), notes=tuple(notes),
    )  # fmt: skip


def _refuse_nan(value_R: pd.Series, name: str) -> None:
    bad = value_R.notna() & value_R.astype(str).str.strip().str.lower().isin(["nan", "inf", "-inf"])
    if bad.any():
        raise AuditError(
            f"Column {name!r} is NaN or infinite in {int(bad.sum())} of {len(value_R)} requests: an outcome that is "
            "not known must be left empty (NULL), then it is counted as unknown."
        )


def _favourable(
    value_R: pd.Series, name: str, favourable: str | None
) -> tuple[np.ndarray, str, Message, list[Message]]:
    """-> (favourable or not, the value, what that means, remarks)."""
    text_R = value_R.where(value_R.notna(), "").astype(str)
    values = tuple(sorted(set(text_R[value_R.notna()])))
    if favourable is not None:
        if favourable not in values:
            raise AuditError(f"Column {name!r} has no value {favourable!r}: give --favourable one of {shown(values)}.")
        return (text_R == favourable).to_numpy(), favourable, _named(favourable), []
    if len(values) < 2:
        raise AuditError(f"Column {name!r} has only the value {values[0]!r}: there is no outcome to compare.")
    if len(values) == 2:
        usual = [value for value in values if value.strip().lower() in FAVOURABLE]
        chosen = usual[0] if len(usual) == 1 else values[1]
        return (text_R == chosen).to_numpy(), chosen, _named(chosen), [Message(TAKEN, {"value": chosen})]
    numbers = as_numbers(value_R)
    if numbers is None:
        raise AuditError(
            f"Column {name!r} has {len(values)} values: say with --favourable which one is favourable: {shown(values)}."
        )
    middle = float(np.nanmedian(numbers))
    return numbers > middle, "", Message(ABOVE, {"median": middle}), [Message(ABOVE_MEDIAN)]


def _named(value: str) -> Message:
    return Message("{value}", {"value": value})


def _right(requests: pd.DataFrame, name: str) -> pd.Series:
    """The right answers, where the outcome is the label."""
    if name != "label":
        return pd.Series(None, index=requests.index, dtype=object)
    return requests["reference_label"].astype(object).where(requests["reference_label"].notna(), None)

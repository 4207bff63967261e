"""From frames to documents: what is counted, what is left out and said so, what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from moe_core.analysis.audit.counts import RoutingCounts
from moe_core.analysis.audit.documents import Documents, documents, of_documents
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.errors import AuditError, GroupTooSmallError
from tests.unit.analysis.audit.frames import decision_frame, frames_of, request_frame
from tests.unit.analysis.audit.generator import make_counts

SETTINGS = AuditSettings()


def made(counts: RoutingCounts, group: str = "group", unit: str | None = None, **columns: object) -> Documents:
    return documents(*frames_of(counts, **columns), group=group, unit=unit, settings=SETTINGS)


def test_counts_come_back_as_they_were() -> None:
    """One document per request, group names in order of the alphabet."""
    counts = make_counts(np.random.default_rng(0), 20)
    found = made(counts)
    assert (found.counts.counts_DLE == counts.counts_DLE).all()
    assert (found.counts.tokens_DL == counts.tokens_DL).all()
    assert (found.counts.group_D == counts.group_D).all()
    assert found.counts.groups == ("a", "b")
    assert found.sizes["documents"].tolist() == [10, 10]
    assert found.excluded == ()


def test_requests_of_one_unit_are_one_document() -> None:
    """Two requests per author: counts add up, the size of the sample is that of the authors."""
    counts = make_counts(np.random.default_rng(0), 40)
    order = np.argsort(counts.group_D, kind="stable")
    counts = replace(counts, counts_DLE=counts.counts_DLE[order], tokens_DL=counts.tokens_DL[order],
                     group_D=counts.group_D[order])  # fmt: skip
    found = made(counts, unit="author", attributes=[{"author": f"u{i // 2:02d}"} for i in range(40)])
    assert found.n == 20
    assert (found.counts.counts_DLE == counts.counts_DLE.reshape(20, 2, 4, 8).sum(axis=1)).all()
    assert of_documents(found, found.requests["latency_ms"], "sum").tolist() == [20.0] * 20
    assert found.unit == found.counts.unit == "author"


def test_what_is_unknown_is_left_out_and_counted() -> None:
    """Requests without a group, without decisions, and a group of 2 documents."""
    counts = make_counts(np.random.default_rng(0), 24)
    requests, decisions, shape = frames_of(counts)
    requests.at[0, "attributes"] = {}
    requests.at[1, "attributes"] = None
    for i in (2, 3):
        requests.at[i, "attributes"] = {"group": "tiny"}
    decisions = decisions[decisions["request_id"] != "r4"]
    found = documents(requests, decisions, shape, group="group", settings=SETTINGS)
    assert [(e.n, e.what) for e in found.excluded] == [(2, "requests"), (1, "requests"), (2, "documents")]
    assert found.n == 19
    assert dict(zip(found.sizes["group"], found.sizes["tested"], strict=True)) == {"a": True, "b": True, "tiny": False}


@pytest.mark.parametrize(
    ("labels", "group", "error", "words"),
    [
        (["a", "b"] * 10, "sex", AuditError, ["'sex'", "--group", "group", "domain"]),
        (["a"] * 20, "group", AuditError, ["only the group 'a'", "two or more"]),
        (["a"] * 17 + ["b"] * 3, "group", GroupTooSmallError, ["'b'", "3 documents", "5 or more"]),
        ([f"g{i}" for i in range(500)], "group", AuditError, ["500 different values", "at most 30", "bands"]),
        ([None] * 20, "group", AuditError, ["group is not known"]),
    ],
    ids=["missing", "one", "three documents", "500 groups", "unknown"],
)
def test_what_cannot_be_compared_is_refused_in_one_sentence(
    labels: list[str | None], group: str, error: type[Exception], words: list[str]
) -> None:
    """What, where and what to do."""
    n = len(labels)
    requests = request_frame(n, attributes=[{} if label is None else {"group": label} for label in labels])
    if all(label is None for label in labels):
        requests.at[0, "attributes"] = {"group": None}
    decisions = decision_frame(np.ones((n, 1, 2), np.int32), np.ones((n, 1), np.int32))
    with pytest.raises(error) as raised:
        documents(requests, decisions, (1, 2), group=group, settings=SETTINGS)
    for word in words:
        assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_unit_in_two_groups_is_refused() -> None:
    """An author who wrote in both groups cannot be dealt one label."""
    counts = make_counts(np.random.default_rng(0), 20)
    with pytest.raises(AuditError, match=r"'author' have requests of more than one value of 'group'"):
        made(counts, unit="author", attributes=[{"author": "one"}] * 20)


def test_a_level_above_the_document_is_noticed() -> None:
    """Authors with several documents, each in one group: the controls shuffle by author. A column of any other name is
    no unit, and neither is one in which every document has its own value."""
    counts = make_counts(np.random.default_rng(0), 40)
    author = [{"author": f"{g}{i % 7}"} for i, g in enumerate(counts.group_D)]
    assert made(counts, attributes=author).counts.unit == "author"
    city = [{"city": more["author"]} for more in author]
    assert made(counts, attributes=city).counts.unit == "request"
    assert made(counts, attributes=[{"author": str(i)} for i in range(40)]).counts.unit_D is None


def test_an_attribute_goes_before_a_column_of_the_same_name() -> None:
    """What the user gave with the text is what an auditor means."""
    counts = make_counts(np.random.default_rng(0), 20)
    found = made(counts, "domain", attributes=[{"domain": "xy"[g]} for g in counts.group_D], domain=["p", "q"] * 10)
    assert found.counts.groups == ("x", "y")
    assert made(counts, "domain", domain=["p", "q"] * 10).counts.groups == ("p", "q")


def test_ranks_with_gaps_do_not_make_rates_above_one() -> None:
    """No decision has rank 0: there are at least as many tokens as the busiest expert has."""
    counts = make_counts(np.random.default_rng(0), 20)
    requests, decisions, shape = frames_of(counts)
    found = documents(requests, decisions.assign(n_first=0), shape, group="group", settings=SETTINGS)
    assert (found.counts.tokens_DL == counts.counts_DLE.max(axis=2)).all()


def test_nothing_routed_is_refused() -> None:
    """A dense run has requests and no decisions."""
    requests = request_frame(20, attributes=[{"group": "ab"[i % 2]} for i in range(20)])
    nothing = pd.DataFrame(columns=["run_id", "request_id", "layer", "expert_id", "n", "n_first"])
    with pytest.raises(AuditError, match="nothing was routed"):
        documents(requests, nothing.astype({"n": int}), (1, 2), group="group", settings=SETTINGS)

"""The whole audit: documents in, one report out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from moe_core.analysis.audit.columns_of_requests import as_numbers, column
from moe_core.analysis.audit.compute import ComputeResult, audit_compute
from moe_core.analysis.audit.contrasts import large_groups
from moe_core.analysis.audit.controls import SelfTests, self_tests
from moe_core.analysis.audit.counts import RoutingCounts
from moe_core.analysis.audit.documents import Documents, of_documents
from moe_core.analysis.audit.outcome import OutcomeResult, Outcomes, audit_outcome
from moe_core.analysis.audit.rare_cases import RareCases
from moe_core.analysis.audit.routing import RoutingResult, audit_routing
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.strata import Strata, strata
from moe_core.analysis.audit.validity import RecordCheck, Validity, validity
from moe_core.analysis.audit.verdicts import Verdict, compute_verdict, outcome_verdict, routing_verdict
from moe_core.errors import AuditError

LENGTH, FREQUENCY = "length", "frequency"


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditReport:
    """`routing`: within strata where there are any, else of all documents as they are; `marginal`: of all documents as
    they are, where there are strata, else None. Compute and outcome are always of all documents."""

    documents: Documents
    settings: AuditSettings
    strata: Strata | None
    routing: RoutingResult
    marginal: RoutingResult | None
    compute: ComputeResult
    outcome: OutcomeResult | None
    rare_cases: RareCases | None
    self_tests: SelfTests
    validity: Validity

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """Three of them, for routing, compute and outcome; never merged."""
        return {
            "routing": routing_verdict(self.routing),
            "compute": compute_verdict(self.compute),
            "outcome": outcome_verdict(self.outcome),
        }


def run_audit(
    documents: Documents, settings: AuditSettings, *, by: Strata | None = None, outcomes: Outcomes | None = None,
    rare_cases: RareCases | None = None, record: RecordCheck | None = None,
) -> AuditReport:  # fmt: skip
    """Raises AuditError or GroupTooSmallError where there is nothing to compare, also within the strata."""
    counts, marginal = documents.counts, None
    if by is not None:
        marginal, _ = audit_routing(counts, settings)
        counts = _within(counts, by, documents.group_column, settings)
    routing, null = audit_routing(counts, settings)
    tests = self_tests(null, settings)
    return AuditReport(
        documents=documents, settings=settings, strata=by, routing=routing, marginal=marginal,
        compute=audit_compute(documents, settings),
        outcome=None if outcomes is None else audit_outcome(outcomes, documents.counts, settings),
        rare_cases=rare_cases, self_tests=tests,
        validity=validity(
            tests, record, int(counts.size_G.min()), settings.small_group, routing.minimum_detectable,
            0.0 if by is None else by.dropped_share,
        ),
    )  # fmt: skip


def strata_of(
    documents: Documents, names: Sequence[str], settings: AuditSettings, rarity: pd.DataFrame | None = None
) -> Strata | None:
    """`names`: columns of the requests, keys of their attributes, and two made here: `length` (tokens of a document)
    and `frequency` (how common its words are; `rarity` as `token_rarity` gives it). None where none is named.

    A document of several requests has the mean of a column of numbers and the most frequent of names.
    """
    if not names:
        return None
    if len(set(names)) != len(names) or documents.group_column in names:
        raise AuditError("--strata names a column twice, or the column of --group; name each other column once.")
    columns = {name: _of_documents(documents, name, rarity) for name in names}
    counts = documents.counts
    return strata(columns, counts.group_D, len(counts.groups), settings.per_stratum)


def _of_documents(documents: Documents, name: str, rarity: pd.DataFrame | None) -> pd.Series:
    requests = documents.requests
    if name == LENGTH:
        return pd.Series(of_documents(documents, requests["n_tokens"], "mean"))
    if name == FREQUENCY:
        if rarity is None or rarity.empty:
            raise AuditError("--strata frequency needs the tokens of the requests, and the log holds none of them.")
        known = rarity.set_index(["run_id", "request_id"])["median_log_count"]
        keys = pd.MultiIndex.from_frame(requests[["run_id", "request_id"]])
        return pd.Series(of_documents(documents, known.reindex(keys).to_numpy(), "mean"))
    values = column(requests, name, "--strata")
    numbers = as_numbers(values)
    if documents.n == len(requests):
        return values.reset_index(drop=True)
    if numbers is not None:
        return pd.Series(of_documents(documents, numbers, "mean"))
    by_document = values.groupby(documents.document_R)
    return by_document.agg(lambda v: v.mode().iloc[0] if v.notna().any() else None).reset_index(drop=True)


def _within(counts: RoutingCounts, by: Strata, column_name: str, settings: AuditSettings) -> RoutingCounts:
    """The documents that lie in a stratum, with the groups that are still large enough."""
    kept = replace(
        counts, counts_DLE=counts.counts_DLE[by.kept_D], tokens_DL=counts.tokens_DL[by.kept_D],
        group_D=counts.group_D[by.kept_D], stratum_D=by.stratum_D[by.kept_D],
        unit_D=None if counts.unit_D is None else counts.unit_D[by.kept_D],
    )  # fmt: skip
    where = " in strata that hold another group"
    large = large_groups(kept.size_G, kept.groups, column_name, settings, where)
    keep_D = np.isin(kept.group_D, [kept.groups.index(name) for name in large])
    return kept.of(keep_D, large)

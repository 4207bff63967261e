"""What the experts of a run are for: all findings of one run, and what to say about them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from moe_core.analysis.message import N_, Message, Param
from moe_core.analysis.specialization.calling import COLUMNS, Calls, call
from moe_core.analysis.specialization.domains import domain_sums
from moe_core.analysis.specialization.features import TokenFeatures, token_features
from moe_core.analysis.specialization.names import expert_names
from moe_core.analysis.specialization.sample import RoutingSample
from moe_core.analysis.specialization.settings import SpecializationSettings
from moe_core.analysis.specialization.vocabulary import vocabulary_sums
from moe_core.analysis.specialization.word_classes import Vocabulary

MOST_DOMAIN_ROWS = 20_000  # of the document; beyond, those that were found


@dataclass(frozen=True, kw_only=True, slots=True)
class Specialization:
    """`domains`, `vocabulary`: None where the log does not say, with the reason beside it. `tokens`: features of the
    sample's tokens. `names`: experts with a called finding. `documents`: of the run, those with decisions."""

    run_id: str
    n_layers: int
    n_experts: int
    documents: int
    domains: Calls | None
    domains_reason: Message | None
    vocabulary: Calls | None
    vocabulary_reason: Message | None
    sample: RoutingSample
    tokens: TokenFeatures
    words: Vocabulary | None
    names: Mapping[tuple[int, int], Message]

    @property
    def parts(self) -> list[Calls]:
        """The parts that the log has something for."""
        return [part for part in (self.domains, self.vocabulary) if part is not None]

    @property
    def called(self) -> pd.DataFrame:
        """`Calls.frame` rows of all called cells: what experts run for before what they avoid, largest excess first."""
        rows = [part.frame(part.called) for part in self.parts if part.called.any()]
        if not rows:
            return pd.DataFrame(columns=list(COLUMNS))
        frame = pd.concat(rows, ignore_index=True).assign(runs_for=lambda rows: rows["held_lift"] > 1)
        frame["size"] = frame["excess"].abs()
        frame = frame.sort_values(["runs_for", "size"], ascending=False, kind="stable", ignore_index=True)
        return frame[list(COLUMNS)]

    @property
    def n_tested(self) -> int:
        return sum(part.n_tested for part in self.parts)

    @property
    def n_found(self) -> int:
        """Cells found on the first half, called or not."""
        return sum(int(part.found.sum()) for part in self.parts)

    @property
    def n_called(self) -> int:
        return sum(int(part.called.sum()) for part in self.parts)

    @property
    def finding(self) -> Message:
        """The title of the page."""
        total = self.n_layers * self.n_experts
        if not self.n_tested:
            return Message(
                N_("Too few documents to tell what the experts are for (n = {n:,})"), {"n": self.documents}
            )  # fmt: skip
        if not self.names:
            return Message(
                N_("No specialization found (n = {n:,} documents, {tested:,} tests)"),
                {"n": self.documents, "tested": self.n_tested},
            )
        specialists = self.specialists
        (layer, expert), name = self.strongest
        params: dict[str, Param] = {"total": total, "layer": layer, "expert": expert, "name": name}
        if not specialists:
            msgid = N_(
                "No expert runs more often for anything; {n} of {total} run less often, as {layer}:{expert}: {name}"
            )
            return Message(msgid, {**params, "n": len(self.names)})
        if len(specialists) == 1:
            return Message(N_("1 of {total} experts specialises: {layer}:{expert} {name}"), params)
        msgid = N_("{n} of {total} experts specialise, most clearly {layer}:{expert}: {name}")
        return Message(msgid, {**params, "n": len(specialists)})

    @property
    def specialists(self) -> set[tuple[int, int]]:
        """(layer, expert_id) of the experts that run more often for something. One that runs less often may only make
        room: where k experts run for every token, one that runs more often pushes others down."""
        rows = self.called
        rows = rows[rows["held_lift"] > 1]
        return {(int(layer), int(expert)) for layer, expert in zip(rows["layer"], rows["expert_id"], strict=True)}

    @property
    def strongest(self) -> tuple[tuple[int, int], Message]:
        """The named expert whose finding explains most of its runs; there must be one."""
        first = self.called.iloc[0]
        key = int(first["layer"]), int(first["expert_id"])
        return key, self.names[key]


def specialization(
    *, run_id: str, n_layers: int, n_experts: int, experts: pd.DataFrame, layers: pd.DataFrame, sample: RoutingSample,
    words: Vocabulary | None, settings: SpecializationSettings | None = None,
) -> Specialization:  # fmt: skip
    """experts, layers: rows of the rollups by document as in `domain_sums`; `words`: the pieces of the run's tokens,
    None where they are not known."""
    settings = settings or SpecializationSettings()
    names, halves = domain_sums(experts, layers, n_layers, n_experts)
    documents = int((halves[0] + halves[1]).total_documents_L.max(initial=0))
    domains = call([("domain", name) for name in names], halves, settings) if names else None
    tokens = token_features(sample, words if sample.has_tokens else None, settings)
    vocabulary = call(tokens.features, vocabulary_sums(sample, tokens), settings) if tokens.features else None
    called = [part.frame(part.called) for part in (domains, vocabulary) if part is not None and part.called.any()]
    shown = (lambda token_id: words.pieces.get(token_id, "")) if words is not None else (lambda token_id: "")
    return Specialization(
        run_id=run_id, n_layers=n_layers, n_experts=n_experts, documents=documents, domains=domains,
        domains_reason=_why_no_domains(names, domains, documents, settings), vocabulary=vocabulary,
        vocabulary_reason=_why_no_vocabulary(sample, words, vocabulary, settings), sample=sample, tokens=tokens,
        words=words, names=expert_names(pd.concat(called, ignore_index=True), shown) if called else {},
    )  # fmt: skip


def domain_rows(found: Specialization) -> pd.DataFrame:
    """`Calls.frame` of the domains: every cell, or those that were found where there are very many."""
    if found.domains is None:
        return pd.DataFrame(columns=list(COLUMNS))
    few = np.prod(found.domains.sums.shape) <= MOST_DOMAIN_ROWS
    return found.domains.frame(None if few else found.domains.found)


def token_rows(found: Specialization) -> pd.DataFrame:
    """`Calls.frame` of the vocabulary: the cells that were found on the first half, called or not."""
    if found.vocabulary is None:
        return pd.DataFrame(columns=list(COLUMNS))
    return found.vocabulary.frame(found.vocabulary.found)


def _why_no_domains(
    names: list[str], domains: Calls | None, documents: int, settings: SpecializationSettings
) -> Message | None:
    if not names:
        return Message(N_("No request of this run names a domain: only the vocabulary can be compared."))
    if len(names) == 1:
        return Message(N_("All requests with a domain are of one domain: there is nothing to compare it with."))
    if domains is not None and not domains.n_tested:
        return _too_few(documents, settings)
    return None


def _why_no_vocabulary(
    sample: RoutingSample, words: Vocabulary | None, vocabulary: Calls | None, settings: SpecializationSettings
) -> Message | None:
    if not sample.has_tokens:
        return Message(
            N_("The tokens of this run are not known (not recorded, or erased): only positions are compared.")
        )
    if vocabulary is not None and not vocabulary.n_tested:
        return _too_few(sample.n_documents, settings)
    if words is None:
        return Message(N_("Only token numbers are known here, not words: word classes cannot be told."))
    return None


def _too_few(documents: int, settings: SpecializationSettings) -> Message:
    return Message(
        N_(
            "Too few documents ({n:,}): a comparison needs at least {least} of each kind in each of two halves. Record "
            "more requests."
        ),
        {"n": documents, "least": settings.least_documents},
    )

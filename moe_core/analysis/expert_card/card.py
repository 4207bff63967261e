"""Everything that a card says about one expert of one run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from moe_core.analysis.ablation import Ablation, ablation_of
from moe_core.analysis.expert_card.domains import BUSY, expert_domains
from moe_core.analysis.expert_card.partners import expert_partners
from moe_core.analysis.expert_card.requests import typical_requests
from moe_core.analysis.expert_card.tokens import ExpertTokens, expert_tokens, one_expert
from moe_core.analysis.expert_card.usage import Usage, by_hour, usage
from moe_core.analysis.message import N_, Message, named
from moe_core.analysis.specialization.run_frames import RunFrames
from moe_core.analysis.specialization.word_classes import Vocabulary
from moe_core.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleSize:
    """Where tokens, texts and the widths of partners come from."""

    decisions: int
    of_decisions: int
    documents: int
    tokens: int

    @property
    def share(self) -> float:
        return self.decisions / self.of_decisions if self.of_decisions else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertCard:
    """Frames as their modules describe them. `words`: pieces of the tokens, None where unknown; `ablation`: None where
    it was never measured for the model of this run."""

    run_id: str
    model: str
    layer: int
    expert: int
    n_layers: int
    usage: Usage
    hours: pd.DataFrame
    domains: pd.DataFrame
    tokens: ExpertTokens
    requests: pd.DataFrame
    partners: pd.DataFrame
    sample: SampleSize
    words: Vocabulary | None
    ablation: Ablation | None

    @property
    def finding(self) -> Message:
        """The title of the page."""
        use = self.usage
        params: dict[str, Any] = {
            "layer": self.layer, "expert": self.expert, "share": use.share, "n": use.tokens, "place": use.place,
            "total": use.n_experts,
        }  # fmt: skip
        if not use.tokens:
            return Message(N_("Expert {layer}:{expert}: no token was routed in this layer"), params)
        if use.dead:
            return Message(N_("Expert {layer}:{expert} ran for 0 of {n:,} tokens: dead in this run"), params)
        if use.cold:
            return Message(
                N_(
                    "Expert {layer}:{expert} is cold: it runs for {share:.2%} of {n:,} tokens, place {place} of {total}"
                ),
                params,
            )
        busy = self.domains[(self.domains["state"] == BUSY) & self.domains["confirmed"].astype(bool)]
        if len(busy):
            row = busy.iloc[0]
            return Message(
                N_("Expert {layer}:{expert} runs for {share:.0%} of tokens, {lift:.1f}× as often in “{domain}”"),
                params | {"lift": float(row["lift"]), "domain": named(str(row["domain"]))},
            )
        return Message(
            N_("Expert {layer}:{expert} runs for {share:.0%} of tokens: place {place} of {total} in its layer"), params
        )


def check_expert(layer: int, expert: int, n_layers: int, n_experts: int) -> None:
    """Raises InputError for an expert that the model of the run does not have."""
    if not (0 <= layer < n_layers and 0 <= expert < n_experts):
        raise InputError(
            f"There is no expert {layer}:{expert} in this run: it has the layers 0 to {n_layers - 1} with the experts "
            f"0 to {n_experts - 1} each."
        )


def expert_card(
    frames: RunFrames, *, layer: int, expert: int, hours: pd.DataFrame, words: Vocabulary | None,
    ablation: Mapping[str, Any] | None,
) -> ExpertCard:  # fmt: skip
    """hours: as `queries.load_over_time` of the layer; words: pieces of the run's tokens; ablation: the document of the
    run's model. Raises InputError as `check_expert`."""
    run, sample = frames.run, frames.sample
    n_layers, n_experts = int(run["n_layers"]), int(run["n_experts"])
    check_expert(layer, expert, n_layers, n_experts)
    return ExpertCard(
        run_id=str(run["run_id"]), model=str(run["model"]), layer=layer, expert=expert, n_layers=n_layers,
        usage=usage(frames.load, frames.tokens, frames.experts, frames.layers, layer, expert),
        hours=by_hour(hours, layer, expert),
        domains=expert_domains(frames.experts, frames.layers, n_layers, n_experts, layer, expert),
        tokens=expert_tokens(sample, layer, expert, words),
        requests=typical_requests(one_expert(sample, layer, expert)),
        partners=expert_partners(frames.pairs, frames.load, frames.tokens, sample, layer, expert),
        sample=SampleSize(
            decisions=sample.n_decisions, of_decisions=sample.n_run_decisions, documents=sample.n_documents,
            tokens=sample.n_tokens,
        ),
        words=words, ablation=None if ablation is None else ablation_of(ablation, layer, expert),
    )  # fmt: skip

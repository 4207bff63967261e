"""All that the log says about one run's experts, and the findings that follow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from moe_core.analysis.specialization.partners import partner_lifts, with_intervals
from moe_core.analysis.specialization.report import Specialization, specialization
from moe_core.analysis.specialization.sample import RoutingSample
from moe_core.analysis.specialization.word_classes import Vocabulary


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFrames:
    """`run`: a row of `queries.list_runs`; `experts`, `layers`: as in `domain_sums`; `pairs`, `load`, `tokens`: as in
    `partner_lifts`."""

    run: "pd.Series[Any]"
    experts: pd.DataFrame
    layers: pd.DataFrame
    sample: RoutingSample
    pairs: pd.DataFrame
    load: pd.DataFrame
    tokens: pd.DataFrame

    @classmethod
    def of(cls, read: Mapping[str, Any]) -> "RunFrames":
        """From what the log gave."""
        return cls(**{**read, "sample": RoutingSample(**read["sample"])})

    def findings(self, words: Vocabulary | None) -> Specialization:
        """What the experts are for; `words`: the pieces of the run's tokens, None where they are not known."""
        return specialization(
            run_id=str(self.run["run_id"]), n_layers=int(self.run["n_layers"]), n_experts=int(self.run["n_experts"]),
            experts=self.experts, layers=self.layers, sample=self.sample, words=words,
        )  # fmt: skip

    def partners(self) -> pd.DataFrame:
        """Pairs of experts, as `partner_lifts`, the first of them with intervals."""
        return with_intervals(partner_lifts(self.pairs, self.load, self.tokens), self.sample)

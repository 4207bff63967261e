"""The tokens of one expert in a sample: those it runs for most often, and those it runs for more often than for others.

Most often says mainly which tokens are frequent. Characteristic means a lift whose interval, with documents as the
unit, lies above 1: a token seen a few times is never tested, however often the expert ran for it.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from moe_core.analysis.specialization.calling import call
from moe_core.analysis.specialization.features import token_features
from moe_core.analysis.specialization.sample import RoutingSample
from moe_core.analysis.specialization.settings import SpecializationSettings
from moe_core.analysis.specialization.vocabulary import vocabulary_sums
from moe_core.analysis.specialization.word_classes import Vocabulary

TOP = 15
FREQUENT_COLUMNS = ("token_id", "runs", "n", "share")
CHARACTERISTIC_COLUMNS = ("kind", "value", "lift", "low", "high", "n", "runs", "documents", "q", "confirmed")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertTokens:
    """`frequent`: FREQUENT_COLUMNS, most runs first; n: how often the token was routed in the layer. `characteristic`:
    CHARACTERISTIC_COLUMNS, those confirmed first, then by lower bound: token, class of words or place in the text;
    `confirmed`: found on one half of the documents and again on the other, all experts of the layer taken together;
    `tested`: features of this expert that were tested."""

    frequent: pd.DataFrame
    characteristic: pd.DataFrame
    tested: int


def one_expert(sample: RoutingSample, layer: int, expert: int) -> RoutingSample:
    """The sample as seen by a single expert: one layer with one expert, every document and token kept."""
    own = (sample.layer_S == layer) & (sample.expert_S == expert)
    token_S = sample.token_S[own]
    return replace(
        sample, token_S=token_S, layer_S=np.zeros(len(token_S), np.int64), expert_S=np.zeros(len(token_S), np.int64),
        first_TL=sample.first_TL[:, layer : layer + 1], n_experts=1,
    )  # fmt: skip


def one_layer(sample: RoutingSample, layer: int) -> RoutingSample:
    """The sample as seen by a single layer, which is layer 0 in it; every document and token kept."""
    here = sample.layer_S == layer
    return replace(
        sample, token_S=sample.token_S[here], layer_S=np.zeros(int(here.sum()), np.int64),
        expert_S=sample.expert_S[here], first_TL=sample.first_TL[:, layer : layer + 1],
    )  # fmt: skip


def expert_tokens(
    sample: RoutingSample, layer: int, expert: int, words: Vocabulary | None,
    settings: SpecializationSettings | None = None,
) -> ExpertTokens:  # fmt: skip
    """words: pieces of the tokens, None where unknown. The experts of the layer are tested together, so that what all
    of them run more often for is characteristic of none."""
    settings = settings or SpecializationSettings()
    own = one_expert(sample, layer, expert)
    frequent = _frequent(own)
    features = token_features(own, words if own.has_tokens else None, settings)
    if not features.features or not len(own.token_S):
        return ExpertTokens(
            frequent=frequent, characteristic=pd.DataFrame(columns=list(CHARACTERISTIC_COLUMNS)), tested=0
        )
    calls = call(features.features, vocabulary_sums(one_layer(sample, layer), features), settings)
    mine = np.zeros(calls.sums.shape, bool)
    mine[:, 0, expert] = True
    rows = calls.frame(mine).rename(columns={"called": "confirmed"})
    over_layer = rows["lift"] / rows["layer_lift"]
    rows = rows[(rows["low"] > 1) & (rows["lift"] >= settings.gate_high) & (over_layer >= settings.gate_high)]
    rows = rows.sort_values(["confirmed", "low"], ascending=False, kind="stable").head(TOP)
    return ExpertTokens(
        frequent=frequent, characteristic=rows[list(CHARACTERISTIC_COLUMNS)].reset_index(drop=True),
        tested=int(calls.tested[:, 0, expert].sum()),
    )  # fmt: skip


def _frequent(own: RoutingSample) -> pd.DataFrame:
    routed = own.first_TL[:, 0] >= 0
    known = routed & (own.token_id_T >= 0) & ~own.is_special_T
    width = int(own.token_id_T.max(initial=0)) + 1
    n = np.bincount(own.token_id_T[known], minlength=width)
    ran = own.token_S[known[own.token_S]]
    runs = np.bincount(own.token_id_T[ran], minlength=width)
    top = np.argsort(-runs, kind="stable")[:TOP]
    top = top[runs[top] > 0]
    return pd.DataFrame(
        {"token_id": top.astype(np.int64), "runs": runs[top], "n": n[top], "share": runs[top] / np.maximum(n[top], 1)},
        columns=list(FREQUENT_COLUMNS),
    )

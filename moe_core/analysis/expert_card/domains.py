"""In which domains one expert is busy, and in which it is cold."""

import pandas as pd

from moe_core.analysis.expert_card.shares import clustered_share
from moe_core.analysis.load_balance import COLD_BELOW
from moe_core.analysis.specialization.calling import call
from moe_core.analysis.specialization.domains import domain_sums
from moe_core.analysis.specialization.settings import SpecializationSettings

COLUMNS = (
    "domain", "n", "runs", "documents", "share", "low", "high", "lift", "lift_low", "lift_high", "state", "confirmed",
)  # fmt: skip
BUSY, COLD, NEVER, USUAL, FEW = "busy", "cold", "never", "usual", "few"


def expert_domains(
    experts: pd.DataFrame, layers: pd.DataFrame, n_layers: int, n_experts: int, layer: int, expert: int,
    settings: SpecializationSettings | None = None,
) -> pd.DataFrame:  # fmt: skip
    """experts, layers: the rollups by document -> COLUMNS, one row per domain of the run, largest lift first.

    n: tokens of the domain in this layer; share with its interval by document; lift: that share over the share of all
    tokens. state: `busy` (interval of the lift above 1), `cold` (share below a tenth of the overall share), `never`
    (0 of n), `few` (too few documents or tokens to say), else `usual`. confirmed: found on one half of the documents
    and again on the other, all domains and experts of the run tested together, as on the specialization page.
    """
    settings = settings or SpecializationSettings()
    names, halves = domain_sums(experts, layers, n_layers, n_experts)
    if not names:
        return pd.DataFrame(columns=list(COLUMNS))
    calls = call([("domain", name) for name in names], halves, settings)
    s, both = calls.sums, calls.both
    rows = []
    for f, name in enumerate(names):
        n, ran, documents = s.n_FL[f, layer], s.c[f, layer, expert], int(s.documents_FL[f, layer])
        share, low, high = clustered_share(
            ran, n, documents, s.cc[f, layer, expert], s.cn[f, layer, expert], s.nn_FL[f, layer]
        )
        lift, lift_low, lift_high = (float(a[f, layer, expert]) for a in (both.lift, both.low, both.high))
        enough = documents >= settings.least_documents and n >= settings.least_tokens
        rows.append((
            name, int(n), int(ran), documents, share, low, high, lift, lift_low, lift_high,
            _state(enough, int(ran), lift, lift_low), bool(calls.called[f, layer, expert]),
        ))  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.sort_values("lift", ascending=False, kind="stable", ignore_index=True)


def _state(enough: bool, ran: int, lift: float, low: float) -> str:
    if not enough:
        return FEW
    if ran == 0:
        return NEVER
    if lift < COLD_BELOW:
        return COLD
    return BUSY if low > 1 else USUAL

"""The number rows and tables of the pages: values from the analysis, put into words with their n."""

from typing import TYPE_CHECKING

import pandas as pd

from moe_core.analysis.load_balance import STATUS_COLD, STATUS_DEAD, BalanceSummary
from moe_core.charts.theme import spoken
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.data import Overview
from moe_core.dashboard.i18n import Translate
from moe_core.dashboard.widgets import Number, milliseconds, percent

if TYPE_CHECKING:
    from moe_core.dashboard.live_run import LiveResult

OVERVIEW_METRICS = ("expert_compute", "encoder_flops", "dense_agreement", "load_imbalance", "num_active")
LIVE_METRICS = (
    "answer_score",
    "dense_agreement",
    "embedding_cosine",
    "expert_compute",
    "encoder_flops",
    "latency",
    "score",
    "margin",
    "gate_weight",
)
LOAD_METRICS = (
    "load",
    "load_over_ideal",
    "gate_over_ideal",
    "selection_rate",
    "load_imbalance",
    "max_vio",
    "load_cv",
    "load_gini",
    "load_entropy",
    "cold_experts",
    "dead_experts",
)
LOG_METRICS = ("decisions", "expert_compute", "answer_score", "score", "margin", "gate_weight")


def overview_numbers(ctx: PageContext, view: Overview) -> list[Number]:
    """Four numbers: expert compute, FLOPs, agreement with dense, the busiest expert."""
    t, cost, agreement, balance = ctx.t, view.cost, view.agreement, view.balance
    requests = t("n = {n:,} adaptive requests").format(n=cost.requests)
    if agreement is None:
        agreed = t("not measured: run the same text in both modes")
    else:
        low, high = agreement.interval
        agreed = t("lowest of the budgets: {budget:.2f}; n = {n:,} texts, 95% interval {low:.1%} to {high:.1%}").format(
            budget=agreement.budget, n=agreement.n, low=low, high=high
        )
    return [
        Number(
            metric="expert_compute",
            value=percent(cost.expert_compute),
            basis=t("of the dense original; {tokens:,} tokens, {requests}").format(
                tokens=cost.tokens, requests=requests
            ),
        ),
        Number(
            metric="encoder_flops",
            value=percent(cost.encoder_flops),
            basis=t("of the dense original; {requests}").format(requests=requests),
        ),
        Number(
            metric="dense_agreement", value=percent(None if agreement is None else agreement.share, 1), basis=agreed
        ),
        Number(
            metric="load_imbalance",
            label=t("Busiest expert"),
            value="—" if balance is None else f"{balance.worst_imbalance:.1f}×",
            basis=t("no decision recorded") if balance is None else busiest(t, balance),
        ),
    ]


def busiest(t: Translate, balance: BalanceSummary) -> str:
    """Which expert is the busiest, and over how many tokens."""
    return t("× the mean load: expert {expert} of layer {layer}; n = {n:,} tokens").format(
        expert=balance.worst_expert, layer=balance.worst_layer, n=balance.tokens
    )


def load_caption(ctx: PageContext, balance: BalanceSummary | None) -> str:
    """What the load map shows, and over how many tokens."""
    return ctx.t("Load of each expert against an equal share (1×) of its layer; n = {n:,} tokens").format(
        n=0 if balance is None else balance.tokens
    )


def settings_table(ctx: PageContext, settings: pd.DataFrame) -> pd.DataFrame:
    """(mode, budget, requests, ...) -> the same with headings, shares against the dense original."""
    t = ctx.t
    tokens = settings["tokens"].where(settings["tokens"] > 0)
    dense = settings["flops_dense"].where(settings["flops_dense"] > 0)
    return pd.DataFrame(
        {
            t("Mode"): [
                t("{mode}, doubtful requests again").format(mode=mode_name(mode, t)) if second else mode_name(mode, t)
                for mode, second in zip(settings["mode"], settings["second_pass"], strict=True)
            ],
            t("Budget"): settings["budget"],
            t("Requests"): settings["requests"],
            t("Tokens"): settings["tokens"],
            t("Expert compute, % of dense"): (100 * settings["active_tokens"] / tokens).round(1),
            t("FLOPs, % of dense"): (100 * settings["flops"] / dense).round(1),
        }
    )


def mode_name(mode: str, t: Translate) -> str:
    """A mode in words; an unknown one as it is."""
    names = {"adaptive": t("adaptive"), "dense": t("dense original"), "topk": t("fixed top-k")}
    return names.get(mode, mode)


def source_name(source: str, t: Translate) -> str:
    """Where a run came from, in words; an unknown one as it is."""
    names = {
        "infer": t("command line"),
        "live": t("live page"),
        "demo": t("demo data"),
        "python": t("Python"),
    }
    return names.get(source, source)


def run_label(run: pd.Series, t: Translate) -> str:
    """One run in a list: when, where from, how."""
    budget = "" if pd.isna(run["budget"]) else f" {run['budget']:.2f}"
    incomplete = f" · {t('incomplete')}" if run["unrecorded_requests"] else ""
    return (
        f"{run['started_at']:%Y-%m-%d %H:%M} UTC · {source_name(str(run['source']), t)} · "
        f"{mode_name(str(run['mode']), t)}{budget} · n = {int(run['n_requests']):,}{incomplete}"
    )


def balance_numbers(ctx: PageContext, balance: BalanceSummary) -> list[Number]:
    """Five numbers about evenness: the worst layer of each, and how many experts are cold or dead."""
    t = ctx.t
    n = t("n = {n:,} tokens").format(n=balance.tokens)
    return [
        Number(metric="load_imbalance", value=f"{balance.worst_imbalance:.2f}×", basis=busiest(t, balance)),
        Number(
            metric="max_vio",
            value=f"{balance.worst_max_vio:.2f}",
            basis=t("worst of the layers: layer {layer}; {n}").format(layer=balance.worst_layer, n=n),
        ),
        Number(
            metric="load_entropy",
            value=f"{balance.lowest_entropy:.3f}",
            basis=t("lowest of the layers: layer {layer}; {n}").format(layer=balance.lowest_entropy_layer, n=n),
        ),
        Number(
            metric="cold_experts",
            value=str(balance.cold),
            basis=t("of {total} experts; {n}").format(total=balance.n_experts, n=n),
        ),
        Number(
            metric="dead_experts",
            value=str(balance.dead),
            basis=t("of {total} experts; {n}").format(total=balance.n_experts, n=n),
        ),
    ]


def layer_table(ctx: PageContext, layers: pd.DataFrame) -> pd.DataFrame:
    """`layer_balance` rows with headings, rounded for reading."""
    t = ctx.t
    return pd.DataFrame(
        {
            t("Layer"): layers["layer"],
            t("Tokens (n)"): layers["tokens"],
            t("Assignments"): layers["assignments"],
            t("Experts per token"): layers["experts_per_token"].round(2),
            t("Max / mean"): layers["load_imbalance"].round(3),
            t("MaxVio"): layers["max_vio"].round(3),
            t("CV"): layers["load_cv"].round(3),
            t("Gini"): layers["load_gini"].round(3),
            t("Normalised entropy"): layers["load_entropy"].round(4),
            t("Gini of gate mass"): layers["gate_gini"].round(3),
            t("Entropy of gate mass"): layers["gate_entropy"].round(4),
            t("Cold experts"): layers["cold_experts"],
            t("Dead experts"): layers["dead_experts"],
        }
    )


def expert_table(ctx: PageContext, experts: pd.DataFrame) -> pd.DataFrame:
    """`expert_balance` rows with headings; an expert that never ran carries its upper bound."""
    t = ctx.t
    return pd.DataFrame(
        {
            t("Layer"): experts["layer"],
            t("Expert"): experts["expert_id"],
            t("State"): [
                status_words(t, str(status), upper)
                for status, upper in zip(experts["status"], experts["selection_rate_upper"], strict=True)
            ],
            t("Load (n)"): experts["n"],
            t("Tokens (n)"): experts["tokens"],
            t("Share of load, %"): (100 * experts["share"]).round(2),
            t("Load / ideal"): experts["load_over_ideal"].round(3),
            t("Gate mass / ideal"): experts["gate_over_ideal"].round(3),
            t("Selection rate, %"): (100 * experts["selection_rate"]).round(2),
            t("Mean margin"): experts["mean_margin"].round(3),
            t("Below threshold (n)"): experts["floor_n"],
        }
    )


def status_words(t: Translate, status: str, upper: float) -> str:
    """normal, cold or dead in words; dead with the bound that its sample size allows."""
    if status == STATUS_DEAD:
        return t("unused: true rate at most {upper:.2%} (95%)").format(upper=upper)
    return t("cold") if status == STATUS_COLD else ""


def live_numbers(ctx: PageContext, result: "LiveResult") -> list[Number]:
    """Five numbers of one live answer: answer, agreement, expert compute, FLOPs, latency."""
    t = ctx.t
    dense = t("Dense original: {label}, score {score:.3f}; embedding similarity {cosine:.3f}").format(
        label=_short(result.dense_label), score=result.dense_score, cosine=result.cosine
    )
    flops = t("of the dense original; n = {n:,} tokens").format(n=result.n_tokens)
    if result.flops_ratio > 1:
        flops = t("more than the dense original: the routers cost about 1%; n = {n:,} tokens").format(n=result.n_tokens)
    faster = result.latency_ms <= result.dense_latency_ms
    return [
        Number(
            metric="answer_score",
            label=t("Answer"),
            value=_short(result.label),
            basis=t("score {score:.3f}, head {head}").format(score=result.score, head=_short(result.head)),
        ),
        Number(
            metric="dense_agreement",
            label=t("Same answer as dense?"),
            value=t("yes") if result.same_answer else t("no"),
            basis=dense,
        ),
        Number(
            metric="expert_compute",
            value=percent(result.active_fraction),
            basis=t("of the dense original; budget asked for {budget:.0%}").format(budget=result.budget),
        ),
        Number(metric="encoder_flops", value=percent(result.flops_ratio), basis=flops),
        Number(
            metric="latency",
            value=milliseconds(result.latency_ms),
            basis=(
                t("dense original {dense}; median of {n} runs each")
                if faster
                else t("dense original is faster here: {dense}; median of {n} runs each")
            ).format(dense=milliseconds(result.dense_latency_ms), n=result.repeats),
        ),
    ]


def _short(text: str, limit: int = 28) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def request_numbers(ctx: PageContext, request: pd.Series, decisions: int) -> list[Number]:
    """Four numbers of one recorded request."""
    t = ctx.t
    label = t("none") if pd.isna(request["label"]) else _short(str(request["label"]))
    score = "—" if pd.isna(request["score"]) else f"{request['score']:.3f}"
    mode = mode_name(str(request["mode"]), t)
    if not pd.isna(request["budget"]):
        mode = t("{mode}, budget {budget:.2f}").format(mode=mode, budget=request["budget"])
    return [
        Number(metric="answer_score", label=t("Answer"), value=label, basis=t("score {score}").format(score=score)),
        Number(
            metric="expert_compute",
            value=percent(None if pd.isna(request["active_fraction"]) else float(request["active_fraction"])),
            basis=t("of the dense original; mode: {mode}").format(mode=mode),
        ),
        Number(
            metric="decisions",
            value=f"{decisions:,}",
            basis=t("n = {n:,} tokens").format(n=int(request["n_tokens"])),
        ),
        Number(
            metric="latency",
            value=milliseconds(None if pd.isna(request["latency_ms"]) else float(request["latency_ms"])),
            basis=t("one measurement, in the batch it ran with"),
        ),
    ]


def requests_table(ctx: PageContext, frame: pd.DataFrame, sources: dict[str, str]) -> pd.DataFrame:
    """A page of requests with headings; texts shortened, erased ones said to be."""
    t = ctx.t
    return pd.DataFrame(
        {
            t("Time (UTC)"): frame["started_at"],
            t("Text"): [t("(erased)") if pd.isna(text) else _short(str(text), 120) for text in frame["text"]],
            t("Answer"): frame["label"],
            t("Score"): frame["score"].round(3),
            t("Domain"): [None if pd.isna(domain) else spoken(domain, t) for domain in frame["domain"]],
            t("Mode"): [mode_name(str(mode), t) for mode in frame["mode"]],
            t("Budget"): frame["budget"],
            t("Expert compute, %"): (100 * frame["active_fraction"]).round(1),
            t("Recorded from"): [source_name(sources.get(str(run_id), ""), t) for run_id in frame["run_id"]],
            t("Request ID"): frame["request_id"],
        }
    )

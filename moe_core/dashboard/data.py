"""Where queries meet analysis: each function asks the index, analyses the frames, and is cached.

The cache key is the store with its version, and the filters; a new record makes a new version. Functions
with a leading underscore do the work; the public ones take the page's context.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from moe_core.analysis import load_balance, overview
from moe_core.analysis.message import Message
from moe_core.analysis.statements import Statement, statements
from moe_core.dashboard import model_queries, resources
from moe_core.dashboard.context import PageContext
from moe_core.log import queries
from moe_core.log.verify import VerifyReport, verify_store

PAGE_SIZE = 25
ALL_RUNS = ""  # all adaptive runs of the current model
DEMO_SOURCE = "demo"


@dataclass(frozen=True, kw_only=True, slots=True)
class CurrentModel:
    """The model of the newest adaptive run with requests: the one that pages speak about."""

    name: str
    sha256: str
    n_layers: int
    n_experts: int
    runs: int
    demo: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """Everything the overview shows about one model; frames as their analysis functions return them."""

    model: CurrentModel
    totals: pd.Series
    cost: overview.Cost
    agreement: overview.Agreement | None
    agreements: pd.DataFrame
    statements: list[Statement]
    experts: pd.DataFrame
    balance: load_balance.BalanceSummary | None
    active: pd.DataFrame
    domains: pd.DataFrame
    settings: pd.DataFrame

    @property
    def finding(self) -> Message:
        return overview.finding(self.cost)


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """Load balance of one selection."""

    experts: pd.DataFrame
    layers: pd.DataFrame
    summary: load_balance.BalanceSummary | None


def has_requests(ctx: PageContext) -> bool:
    """Whether the store holds a request; False for a store that does not exist yet."""
    return resources.has_store(ctx.store) and bool(runs(ctx)["n_requests"].sum() > 0)


def has_decisions(ctx: PageContext) -> bool:
    """Whether the store holds a decision; False where only the dense original has answered."""
    return resources.has_store(ctx.store) and bool(runs(ctx)["n_decisions"].sum() > 0)


def has_demo(ctx: PageContext) -> bool:
    """Whether any run of the store is the bundled demo."""
    return resources.has_store(ctx.store) and bool((runs(ctx)["source"] == DEMO_SOURCE).any())


def runs(ctx: PageContext) -> pd.DataFrame:
    """One row per run, newest first, as `queries.list_runs`."""
    return _runs(str(ctx.store), resources.version(ctx.store))


def current_model(ctx: PageContext) -> CurrentModel | None:
    """The model of the newest adaptive run; None where no adaptive request was recorded."""
    return newest_model(runs(ctx))


def newest_model(all_runs: pd.DataFrame) -> CurrentModel | None:
    """all_runs as `queries.list_runs` -> the model of the newest adaptive run with requests."""
    adaptive = all_runs[(all_runs["mode"] == overview.ADAPTIVE) & (all_runs["n_requests"] > 0)]
    if adaptive.empty:
        return None
    newest = adaptive.sort_values("last_seen").iloc[-1]
    same = adaptive[adaptive["model_sha256"] == newest["model_sha256"]]
    return CurrentModel(
        name=str(newest["model"]),
        sha256=str(newest["model_sha256"]),
        n_layers=int(newest["n_layers"]),
        n_experts=int(newest["n_experts"]),
        runs=len(same),
        demo=bool((same["source"] == DEMO_SOURCE).any()),
    )


def problems(ctx: PageContext) -> list[str]:
    """What is missing in all numbers, one sentence each: batches left out as damaged, a refresh that failed."""
    if not resources.has_store(ctx.store):
        return []
    found = _problems(str(ctx.store), resources.version(ctx.store))
    failed = resources.index(ctx.store).refresh_error
    return [*found, failed] if failed else found


def overview_data(ctx: PageContext) -> Overview | None:
    """The overview of the current model; None where no adaptive request was recorded."""
    return _overview(str(ctx.store), resources.version(ctx.store), str(ctx.model))


def balance(ctx: PageContext, run_id: str, domain: str | None) -> Balance:
    """Load balance of one run, or of all adaptive runs of the current model (`ALL_RUNS`)."""
    return _balance(str(ctx.store), resources.version(ctx.store), run_id, domain)


def domain_names(ctx: PageContext, run_id: str | None = None) -> list[str]:
    """Names of the domains that requests have, in order."""
    return _domain_names(str(ctx.store), resources.version(ctx.store), run_id)


def label_names(ctx: PageContext) -> list[str]:
    """Labels that requests got, in order."""
    return _label_names(str(ctx.store), resources.version(ctx.store))


def requests(
    ctx: PageContext, *, run_id: str | None, search: str, label: str | None, domain: str | None, page: int
) -> queries.RequestsPage:
    """One page of requests, newest first; `page` counts from 1."""
    return _requests(str(ctx.store), resources.version(ctx.store), run_id, search, label, domain, page)


def request(ctx: PageContext, request_id: str) -> pd.Series:
    """One request. Raises RequestNotFoundError."""
    return _request(str(ctx.store), resources.version(ctx.store), request_id)


def request_trace(ctx: PageContext, request_id: str) -> pd.DataFrame:
    """All decisions of one request, as `queries.request_trace`."""
    return _request_trace(str(ctx.store), resources.version(ctx.store), request_id)


def newest_answers(ctx: PageContext, limit: int) -> pd.DataFrame:
    """(request_id, text, label, head) the newest adaptive answers of the current model; empty where there are none."""
    return _newest_answers(str(ctx.store), resources.version(ctx.store), limit)


def run_of_request(ctx: PageContext, request_id: str, run_id: str) -> pd.Series:
    """How a request was run, as `queries.run_of_request`. Raises RequestNotFoundError."""
    return _run_of_request(str(ctx.store), resources.version(ctx.store), request_id, run_id)


def answered_together(ctx: PageContext, request_id: str, run_id: str) -> pd.DataFrame:
    """Requests of the same batch, as `queries.answered_together`."""
    return _answered_together(str(ctx.store), resources.version(ctx.store), request_id, run_id)


def verify(ctx: PageContext) -> VerifyReport:
    """Check every chain, file and count of the store now; never cached."""
    return verify_store(ctx.store)


@st.cache_data(show_spinner=False, max_entries=4)
def _runs(store: str, version: int) -> pd.DataFrame:
    return queries.list_runs(resources.index(Path(store)))


@st.cache_data(show_spinner=False, max_entries=4)
def _problems(store: str, version: int) -> list[str]:
    return [str(what) for what in queries.problems(resources.index(Path(store)))["what"]]


@st.cache_data(show_spinner=False, max_entries=8)
def _overview(store: str, version: int, model_dir: str) -> Overview | None:
    index = resources.index(Path(store))
    all_runs = _runs(store, version)
    model = newest_model(all_runs)
    if model is None:
        return None
    settings = settings_of(all_runs[all_runs["model_sha256"] == model.sha256])
    cost = overview.cost(settings)
    histogram = model_queries.model_active(index, model.sha256)
    agreements = overview.agreement_by_budget(model_queries.dense_pairs(index, model.sha256))
    cards = overview.accuracies(head_cards(Path(model_dir), model.name))
    experts, layers = _experts_and_layers(
        model_queries.model_expert_load(index, model.sha256), tokens_by_layer(histogram)
    )
    domains = model_queries.model_domains(index, model.sha256)
    return Overview(
        model=model,
        totals=queries.store_totals(index).iloc[0],
        cost=cost,
        agreement=overview.worst_agreement(agreements),
        agreements=overview.agreement_frame(agreements),
        statements=statements(cost, overview.spread(histogram, model.n_experts), agreements, cards),
        experts=experts,
        balance=load_balance.summarise(experts, layers),
        active=overview.active_shares(histogram),
        domains=domains[domains["domain"].notna()].reset_index(drop=True),
        settings=settings,
    )


@st.cache_data(show_spinner=False, max_entries=64)
def _balance(store: str, version: int, run_id: str, domain: str | None) -> Balance:
    index = resources.index(Path(store))
    model = newest_model(_runs(store, version))
    if run_id == ALL_RUNS and model is not None:
        load = model_queries.model_expert_load(index, model.sha256, domain)
        tokens = tokens_by_layer(model_queries.model_active(index, model.sha256, domain))
    else:
        load = queries.expert_load(index, run_id or None, domain)
        tokens = queries.layer_tokens(index, run_id or None, domain)
    experts, layers = _experts_and_layers(load, tokens)
    return Balance(experts=experts, layers=layers, summary=load_balance.summarise(experts, layers))


@st.cache_data(show_spinner=False, max_entries=16)
def _domain_names(store: str, version: int, run_id: str | None) -> list[str]:
    names = queries.domains(resources.index(Path(store)), run_id)["domain"].dropna()
    return sorted(str(name) for name in names)


@st.cache_data(show_spinner=False, max_entries=4)
def _label_names(store: str, version: int) -> list[str]:
    names = queries.labels(resources.index(Path(store)))["label"].dropna()
    return sorted(str(name) for name in names)


@st.cache_data(show_spinner=False, max_entries=64)
def _requests(
    store: str, version: int, run_id: str | None, search: str, label: str | None, domain: str | None, page: int
) -> queries.RequestsPage:
    return queries.requests_page(
        resources.index(Path(store)),
        run_id=run_id,
        search=search,
        label=label,
        domain=domain,
        limit=PAGE_SIZE,
        offset=(page - 1) * PAGE_SIZE,
    )


@st.cache_data(show_spinner=False, max_entries=64)
def _request(store: str, version: int, request_id: str) -> pd.Series:
    return queries.request_detail(resources.index(Path(store)), request_id).iloc[0]


@st.cache_data(show_spinner=False, max_entries=32)
def _request_trace(store: str, version: int, request_id: str) -> pd.DataFrame:
    return queries.request_trace(resources.index(Path(store)), request_id)


@st.cache_data(show_spinner=False, max_entries=4)
def _newest_answers(store: str, version: int, limit: int) -> pd.DataFrame:
    model = newest_model(_runs(store, version))
    if model is None:
        return pd.DataFrame(columns=["request_id", "text", "label", "head"])
    return model_queries.newest_answers(resources.index(Path(store)), model.sha256, limit)


@st.cache_data(show_spinner=False, max_entries=16)
def _run_of_request(store: str, version: int, request_id: str, run_id: str) -> pd.Series:
    return queries.run_of_request(resources.index(Path(store)), request_id, run_id).iloc[0]


@st.cache_data(show_spinner=False, max_entries=16)
def _answered_together(store: str, version: int, request_id: str, run_id: str) -> pd.DataFrame:
    return queries.answered_together(resources.index(Path(store)), request_id, run_id)


def settings_of(model_runs: pd.DataFrame) -> pd.DataFrame:
    """Runs of one model -> (mode, budget, second_pass, requests, tokens, active_tokens, flops, flops_dense) one row per
    setting; second_pass: the requests were run again in escalation."""
    rows = model_runs.rename(columns={"n_requests": "requests", "n_tokens": "tokens"}).assign(
        active_tokens=model_runs["active_fraction"] * model_runs["n_tokens"],
        second_pass=model_runs["escalates"].notna(),
    )
    columns = ["requests", "tokens", "active_tokens", "flops", "flops_dense"]
    return rows.groupby(["mode", "budget", "second_pass"], dropna=False, as_index=False)[columns].sum()


def tokens_by_layer(histogram: pd.DataFrame) -> pd.DataFrame:
    """histogram (layer, num_active, tokens) -> (layer, tokens) one row per layer."""
    return histogram.groupby("layer", as_index=False)["tokens"].sum()


def head_cards(model_dir: Path, model_name: str) -> dict[str, tuple[dict[str, float], int]]:
    """head -> (accuracy by budget, number of held-out texts) from the model folder's cards, without loading the
    model; empty where the folder holds another model than the one named, or no readable card."""
    try:
        if json.loads((model_dir / "config.json").read_text(encoding="utf-8")).get("name") != model_name:
            return {}
        cards = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((model_dir / "heads").glob("*.json"))]
        return {
            str(card["name"]): (
                {str(k): float(v) for k, v in card["accuracy"].items() if k == "dense" or is_number(k)},
                int(card["n_test"]),
            )
            for card in cards
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def is_number(text: str) -> bool:
    """Whether a key of a card is a budget."""
    try:
        return 0 < float(text) <= 1
    except ValueError:
        return False


def _experts_and_layers(load: pd.DataFrame, tokens: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    experts = load_balance.expert_balance(load, tokens)
    return experts, load_balance.layer_balance(experts)

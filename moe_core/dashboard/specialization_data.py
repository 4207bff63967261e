"""What the page about experts reads: the findings of a run, clusters, maps and texts, shared by all visitors."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from moe_core.analysis.specialization.agreement import layer_agreement
from moe_core.analysis.specialization.expert_clusters import ExpertClusters, expert_clusters
from moe_core.analysis.specialization.projection import Method, project
from moe_core.analysis.specialization.report import Specialization
from moe_core.analysis.specialization.run_frames import RunFrames
from moe_core.analysis.specialization.saturation import Saturation, read_saturation
from moe_core.analysis.specialization.token_clusters import TokenClusters, token_clusters
from moe_core.analysis.specialization.words_of_run import requests_to_try, words_of_run
from moe_core.dashboard import data, resources
from moe_core.dashboard.context import PageContext
from moe_core.log.routing_sample import routing_of_run
from moe_core.log.specialization_queries import texts_of_requests
from moe_core.model.vocabulary import pieces_of_run

SEED = 0
SATURATION_FILE = "saturation.json"

_one_at_a_time = threading.Lock()  # each takes a core for up to a second


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """One run. Read-only."""

    found: Specialization
    partners: pd.DataFrame


@dataclass(frozen=True, kw_only=True, slots=True)
class Clusters:
    """None where there is too little to cluster. Read-only."""

    experts: ExpertClusters | None
    tokens: TokenClusters | None


def routed_runs(ctx: PageContext) -> pd.DataFrame:
    """Rows of `queries.list_runs` with decisions: first passes before second ones, those of the newest model first,
    and of these the largest."""
    runs = data.runs(ctx)
    runs = runs[runs["n_decisions"] > 0]
    newest = runs["model_sha256"] == (runs["model_sha256"].iloc[0] if len(runs) else "")
    order = runs.assign(second=runs["escalates"].notna(), other=~newest, few=-runs["n_requests"])
    return order.sort_values(["second", "other", "few"], kind="stable", ignore_index=True)


def described(ctx: PageContext, run_id: str) -> Described:
    """The findings of a run. Raises LogError where a file of it is damaged."""
    return _described(str(ctx.store), resources.version(ctx.store), run_id, str(ctx.model))


def clusters(ctx: PageContext, run_id: str) -> Clusters:
    """Clusters of the run's experts and tokens."""
    return _clusters(str(ctx.store), resources.version(ctx.store), run_id, str(ctx.model))


def agreement(ctx: PageContext, run_id: str, tokens: tuple[str, int] | None) -> pd.DataFrame:
    """As `layer_agreement`, over all tokens, or those of a cluster: ("token", number), or of the experts of one:
    ("expert", number)."""
    return _agreement(str(ctx.store), resources.version(ctx.store), run_id, str(ctx.model), tokens)


def coordinates(ctx: PageContext, run_id: str, what: str, method: Method) -> pd.DataFrame:
    """(x, y) one row per expert of the clusters, or per token on the map."""
    return _coordinates(str(ctx.store), resources.version(ctx.store), run_id, str(ctx.model), what, method)


def texts(ctx: PageContext, run_id: str, request_ids: Sequence[str]) -> pd.DataFrame:
    """(request_id, domain, text) of these requests; a text is missing after redaction."""
    return _texts(str(ctx.store), resources.version(ctx.store), run_id, tuple(request_ids))


def saturation(ctx: PageContext, model_name: str) -> Saturation | None:
    """What was measured on the checkpoints of the model folder's training; None without, or for another model's run."""
    try:
        if json.loads((ctx.model / "config.json").read_text(encoding="utf-8")).get("name") != model_name:
            return None
        return read_saturation(json.loads((ctx.model / SATURATION_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError):
        return None


@st.cache_resource(show_spinner=False, max_entries=3)
def _described(store: str, version: int, run_id: str, model: str) -> Described:
    with _one_at_a_time:
        index = resources.index(Path(store))
        frames = RunFrames.of(routing_of_run(index, run_id))
        sample = frames.sample
        tried = texts_of_requests(index, run_id, requests_to_try(sample))
        words = words_of_run(sample, tried, partial(pieces_of_run, Path(model), str(frames.run["model"])))
        return Described(found=frames.findings(words), partners=frames.partners())


@st.cache_resource(show_spinner=False, max_entries=3)
def _clusters(store: str, version: int, run_id: str, model: str) -> Clusters:
    found = _described(store, version, run_id, model).found
    with _one_at_a_time:
        return Clusters(
            experts=expert_clusters(found.parts, seed=SEED), tokens=token_clusters(found.sample, seed=SEED)
        )  # fmt: skip


@st.cache_data(show_spinner=False, max_entries=16)
def _agreement(store: str, version: int, run_id: str, model: str, tokens: tuple[str, int] | None) -> pd.DataFrame:
    sample = _described(store, version, run_id, model).found.sample
    if tokens is not None:
        known = _clusters(store, version, run_id, model)
        kind, number = tokens
        if kind == "token" and known.tokens is not None:
            sample = sample.of_tokens(known.tokens.label_T == number)
        elif known.experts is not None:
            members = known.experts.experts[known.experts.experts["cluster"] == number]
            cells = members["layer"] * sample.n_experts + members["expert_id"]
            ran = np.zeros(sample.n_tokens, bool)
            ran[sample.token_S[np.isin(sample.layer_S * sample.n_experts + sample.expert_S, cells)]] = True
            sample = sample.of_tokens(ran)
    with _one_at_a_time:
        return layer_agreement(sample, seed=SEED)


@st.cache_data(show_spinner=False, max_entries=8)
def _coordinates(store: str, version: int, run_id: str, model: str, what: str, method: Method) -> pd.DataFrame:
    known = _clusters(store, version, run_id, model)
    if what == "token":
        points = None if known.tokens is None else known.tokens.coordinates_PK
    else:
        points = None if known.experts is None else known.experts.profile_XF
    if points is None:
        return pd.DataFrame({"x": [], "y": []})
    with _one_at_a_time:
        return pd.DataFrame(project(points, method, seed=SEED), columns=["x", "y"])


@st.cache_data(show_spinner=False, max_entries=32)
def _texts(store: str, version: int, run_id: str, request_ids: tuple[str, ...]) -> pd.DataFrame:
    return texts_of_requests(resources.index(Path(store)), run_id, list(request_ids))

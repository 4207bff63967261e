"""What the card of one expert reads; the sample and the pieces of the run are those of the page about all experts."""

from pathlib import Path

import streamlit as st

from moe_core.analysis.expert_card.card import ExpertCard, check_expert, expert_card
from moe_core.analysis.specialization.run_frames import RunFrames
from moe_core.dashboard import data, resources, specialization_data
from moe_core.dashboard.context import PageContext
from moe_core.errors import RunNotFoundError
from moe_core.log import queries
from moe_core.log.specialization_queries import document_experts, document_layers, run_to_describe
from moe_core.model.ablation_file import ABLATION, read_ablation


def sizes(ctx: PageContext, run_id: str) -> tuple[int, int]:
    """(layers, experts of each) of a run. Raises RunNotFoundError."""
    runs = data.runs(ctx).set_index("run_id")
    if run_id not in runs.index:
        raise RunNotFoundError(f"The store {ctx.store} holds no run {run_id!r}.")
    return int(runs.loc[run_id, "n_layers"]), int(runs.loc[run_id, "n_experts"])


def is_demo(ctx: PageContext, run_id: str) -> bool:
    """Whether the run is one of the bundled demo."""
    runs = data.runs(ctx)
    return bool((runs.loc[runs["run_id"] == run_id, "source"] == data.DEMO_SOURCE).any())


def card(ctx: PageContext, run_id: str, layer: int, expert: int) -> ExpertCard:
    """The card of one expert. Raises InputError for an expert that the run's model does not have, RunNotFoundError, and
    LogError where a file of the run is damaged."""
    check_expert(layer, expert, *sizes(ctx, run_id))
    path = ctx.model / ABLATION
    stamp = path.stat().st_mtime_ns if path.exists() else 0
    return _card(ctx, str(ctx.store), resources.version(ctx.store), run_id, layer, expert, str(ctx.model), stamp)


@st.cache_data(show_spinner=False, max_entries=32)
def _card(
    _ctx: PageContext, store: str, version: int, run_id: str, layer: int, expert: int, model: str, stamp: int
) -> ExpertCard:
    found = specialization_data.described(_ctx, run_id).found
    index = resources.index(Path(store))
    run = run_to_describe(index, run_id)
    frames = RunFrames(
        run=run, experts=document_experts(index, run_id), layers=document_layers(index, run_id), sample=found.sample,
        pairs=queries.coactivation(index, run_id, layer), load=queries.expert_load(index, run_id),
        tokens=queries.layer_tokens(index, run_id),
    )  # fmt: skip
    return expert_card(
        frames, layer=layer, expert=expert, hours=queries.load_over_time(index, run_id, layer=layer),
        words=found.words, ablation=read_ablation(Path(model), str(run["model_sha256"])),
    )  # fmt: skip

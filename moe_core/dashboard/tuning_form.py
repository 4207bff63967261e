"""The setting that is being tuned: budget or thresholds per layer, escalation; taken from and given out as policy.toml.

Every change that leaves the form (taken over, exported, loaded) is an event in the log: who, when, from what, to what.
"""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from moe_core.dashboard import resources, widgets
from moe_core.dashboard.context import PageContext
from moe_core.log.events import record_event
from moe_core.model.policy import Escalation, Policy, check_policy, parse_policy, policy_toml

if TYPE_CHECKING:
    from moe_core.model.reference import RoutedModel

LOADED, IN_USE, UPLOAD_SEEN = "tuning_loaded", "tuning_in_use", "tuning_upload_seen"
STEP = 0.05
ACTOR = "dashboard"


def tuning_form(ctx: PageContext, model: "RoutedModel") -> Policy:
    """Draw the form; the policy it describes."""
    t = ctx.t
    start = _loaded(model)
    with widgets.card(
        t("Which setting?"), t("Move the dial, or set the threshold of every layer yourself."), key="tuning_form"
    ):
        left, middle, right = st.columns([5, 3, 4], vertical_alignment="bottom")
        with left:
            lowest = math.ceil(model.calibration.smallest_budget / STEP) * STEP
            budget = st.slider(
                t("Budget: share of the expert compute to spend"),
                min_value=round(lowest, 2),
                max_value=1.0,
                value=min(1.0, max(round(lowest, 2), start.budget or 0.35)),
                step=STEP,
                key=f"tuning_budget_{_version()}",
            )
        with middle:
            escalate = st.toggle(
                t("Run again when unsure"),
                value=start.escalation is not None,
                key=f"tuning_escalate_{_version()}",
                help=t("Where the answer leads by less than this, the dense original answers instead."),
            )
        with right:
            margin = st.slider(
                t("Lead below which it runs again"),
                min_value=0.0,
                max_value=0.9,
                value=start.escalation.margin_below if start.escalation else 0.2,
                step=0.05,
                disabled=not escalate,
                key=f"tuning_margin_{_version()}",
            )
        by_hand = st.toggle(
            t("Set thresholds by layer"), value=start.thresholds_L is not None, key=f"tuning_by_hand_{_version()}"
        )
        thresholds = _thresholds(ctx, model, budget, start) if by_hand else None
    return Policy(
        budget=budget,
        thresholds_L=thresholds,
        unavailable=start.unavailable,
        escalation=_escalation(start, margin) if escalate else None,
        head=start.head,
        model=model.name,
        model_sha256=model.sha256,
    )


def exchange(ctx: PageContext, model: "RoutedModel", policy: Policy) -> None:
    """Use the setting for live inference, save it, or load one; each is an event in the log."""
    t = ctx.t
    with widgets.card(
        t("Take the setting along"),
        t("The file is what `routelens infer --policy policy.toml` runs. Each step here is recorded as an event."),
        key="tuning_exchange",
    ):
        use, save, load = st.columns([2, 2, 5], vertical_alignment="top")
        with use:
            if st.button(t("Use for live inference"), type="primary", key="tuning_use", width="stretch"):
                note_change(ctx, "live policy", st.session_state.get(IN_USE), policy_toml(policy))
                st.session_state[IN_USE] = policy_toml(policy)
                if policy.budget is not None:
                    st.session_state["live_budget"] = policy.budget
                st.toast(t("Live inference now starts from this budget; the change is recorded."))
        with save:
            st.download_button(
                t("Save policy.toml"),
                policy_toml(policy),
                file_name="policy.toml",
                mime="application/toml",
                key="tuning_save",
                width="stretch",
                icon=":material/download:",
                on_click=lambda: note_change(ctx, "policy exported", None, policy_toml(policy)),
            )
        with load:
            upload = st.file_uploader(t("Load policy.toml"), type=["toml"], key="tuning_upload", max_upload_size=1)
            if upload is not None and st.session_state.get(UPLOAD_SEEN) != upload.file_id:
                with widgets.error_boundary(ctx):
                    loaded = parse_policy(upload.getvalue(), name=upload.name)
                    check_policy(loaded, model)
                    note_change(ctx, "policy loaded", policy_toml(policy), policy_toml(loaded))
                    st.session_state[LOADED], st.session_state[UPLOAD_SEEN] = loaded, upload.file_id
                    st.session_state["tuning_version"] = _version() + 1
                    st.rerun()
        st.code(policy_toml(policy), language="toml")


def note_change(ctx: PageContext, what: str, old: str | None, new: str | None) -> None:
    """An event in the log, if there is a log."""
    if resources.has_store(ctx.store):
        record_event(ctx.store, ACTOR, what, old, new)


def _thresholds(ctx: PageContext, model: "RoutedModel", budget: float, start: Policy) -> tuple[float, ...]:
    t = ctx.t
    tau = model.calibration.tau(budget)
    values = start.thresholds_L or (tau,) * model.config.n_layers
    st.caption(
        t("The dial's own threshold at this budget is {tau:.4f} in every layer; 0 runs every expert.").format(tau=tau)
    )
    columns = st.columns(model.config.n_layers)
    chosen = []
    for layer, (column, value) in enumerate(zip(columns, values, strict=True)):
        with column:
            chosen.append(
                st.number_input(
                    t("Layer {layer}").format(layer=layer),
                    min_value=0.0,
                    max_value=0.97,
                    value=round(value, 4),
                    step=0.01,
                    format="%.4f",
                    key=f"tuning_tau_{layer}_{_version()}_{budget}",
                )
            )
    return tuple(float(value) for value in chosen)


def _escalation(start: Policy, margin: float) -> Escalation:
    """The rule with the margin of the form; what the form cannot set is kept from a loaded file."""
    return replace(start.escalation or Escalation(), margin_below=margin)


def _loaded(model: "RoutedModel") -> Policy:
    """The policy the form starts from."""
    loaded: Policy | None = st.session_state.get(LOADED)
    if loaded is None or (loaded.model_sha256 not in (None, model.sha256)):
        return Policy(budget=0.35, head=model.default_head)
    return replace(loaded, head=loaded.head or model.default_head)


def _version() -> int:
    """Grows with every loaded file, so that the widgets start from its values."""
    return int(st.session_state.get("tuning_version", 0))

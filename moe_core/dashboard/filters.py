"""The filters of the pages. They live in the link's query parameters, so that a view can be shared.

A filter's value is written to the link by hand: Streamlit's own binding would put the translated label there.
"""

from collections import Counter
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from moe_core.charts.theme import spoken
from moe_core.dashboard import data
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.numbers import run_label

ALL = ""


def balance_filters(ctx: PageContext) -> tuple[str, str | None]:
    """(run, domain): a run that made decisions, or all adaptive runs of the current model; a domain or all."""
    t = ctx.t
    runs = data.runs(ctx)
    runs = runs[runs["n_decisions"] > 0].set_index("run_id")
    labels = {run_id: run_label(run, t) for run_id, run in runs.iterrows()}
    model = data.current_model(ctx)
    if model is not None:
        labels = {data.ALL_RUNS: t("All adaptive runs of this model ({n})").format(n=model.runs)} | labels
    left, right = st.columns([3, 2])
    with left:
        run_id = choice(t("Run"), list(labels), labels, key="load_run", parameter="run")
    with right:
        names = data.domain_names(ctx, run_id or None)
        domain = choice(t("Domain"), [ALL, *names], domain_labels(ctx, names), key="load_domain", parameter="domain")
    return run_id, domain or None


def domain_labels(ctx: PageContext, names: Sequence[str]) -> dict[str, str]:
    """Domain names as people read them, and the entry for all of them."""
    return {ALL: ctx.t("All domains")} | {name: spoken(name, ctx.t) for name in names}


def layer_choice(ctx: PageContext, layers: pd.DataFrame) -> int:
    """The layer whose experts are compared one by one; the most uneven one to begin with."""
    options = [str(int(layer)) for layer in layers["layer"]]
    worst = str(int(layers.loc[layers["load_imbalance"].idxmax(), "layer"]))
    labels = {option: ctx.t("Layer {layer}").format(layer=option) for option in options}
    return int(choice(ctx.t("Layer"), options, labels, key="load_layer", parameter="layer", default=worst))


def choice(
    label: str,
    options: Sequence[str],
    labels: dict[str, str],
    *,
    key: str,
    parameter: str,
    default: str | None = None,
    always: bool = False,
) -> str:
    """A select box whose value is also in the link; its default only if `always`. An option that does not exist falls
    back to the first one."""
    wanted = st.session_state.get(key, st.query_params.get(parameter, default))
    st.session_state[key] = wanted if wanted in options else (default if default in options else options[0])
    value = st.selectbox(label, options, format_func=distinct(options, labels).__getitem__, key=key)
    share(parameter, value if always or value != (default or options[0]) else "")
    return str(value)


def choices(
    label: str,
    options: Sequence[str],
    labels: dict[str, str],
    *,
    key: str,
    parameter: str,
    default: Sequence[str],
    placeholder: str | None = None,
    help: str | None = None,
) -> list[str]:
    """Any number of options, all of them in the link. Options that do not exist are left out."""
    wanted = st.session_state.get(key, st.query_params.get_all(parameter) or default)
    st.session_state[key] = [option for option in dict.fromkeys(wanted) if option in options]
    chosen = st.multiselect(
        label,
        options,
        format_func=distinct(options, labels).__getitem__,
        key=key,
        placeholder=placeholder or label,
        help=help,
    )
    wanted = [] if list(chosen) == list(default) else list(chosen)
    if wanted != st.query_params.get_all(parameter):
        if wanted:
            st.query_params[parameter] = wanted
        else:
            st.query_params.pop(parameter, None)
    return list(chosen)


def distinct(options: Sequence[str], labels: dict[str, str]) -> dict[str, str]:
    """option -> label; where several options have the same label, with the option behind it, because the browser sends
    labels back: it could not tell them apart."""
    shown = {option: labels.get(option, option) for option in options}
    counts = Counter(shown.values())
    return {option: label if counts[label] == 1 else f"{label} · {option}" for option, label in shown.items()}


def text_choice(label: str, *, key: str, parameter: str, placeholder: str) -> str:
    """A text field whose value is also in the link."""
    if key not in st.session_state:
        st.session_state[key] = st.query_params.get(parameter, "")
    value = str(st.text_input(label, key=key, placeholder=placeholder) or "").strip()
    share(parameter, value)
    return value


def share(parameter: str, value: str) -> None:
    """Put a value into the link, or take it out where it is empty."""
    if value and st.query_params.get(parameter) != value:
        st.query_params[parameter] = value
    elif not value and parameter in st.query_params:
        del st.query_params[parameter]

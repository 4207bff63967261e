"""What a page shows before anything was recorded: the commands that fill the store, and one click for the demo."""

import streamlit as st

from moe_core.dashboard import data, resources, widgets
from moe_core.dashboard.context import DEMO_REQUESTS, PageContext
from moe_core.dashboard.i18n import Translate


def first_start(ctx: PageContext, title: str) -> None:
    """Title, explanation, the demo button with its progress bar, and the commands."""
    t = ctx.t
    widgets.title(title)
    if data.has_requests(ctx):
        with widgets.card(t("No adaptive request has been recorded yet"), key="first_start"):
            st.markdown(t("Only the dense original has answered so far. Record texts in adaptive mode:"))
            _commands()
        return
    with widgets.card(t("Nothing has been recorded in this store yet"), key="first_start"):
        st.markdown(
            t(
                "Run the bundled demo requests once: short texts written for this project, from several domains. They "
                "go through the dense original and through the adaptive model at two budgets, and every routing "
                "decision is recorded. All pages mark them as demo data."
            )
        )
        if st.button(t("Run the demo requests"), type="primary", key="first_start_demo"):
            with widgets.error_boundary(ctx):
                _run(ctx)
                st.rerun()
        st.markdown(t("Or record your own texts from a terminal; this page then shows them by itself:"))
        _commands()
        st.caption(t("Store"))
        st.code(str(ctx.store), language=None)


def _commands() -> None:
    st.code('routelens infer "The parcel never arrived and nobody answers."', language="bash")
    st.code("routelens infer --file texts.csv --column text --domain channel", language="bash")


def _run(ctx: PageContext) -> None:
    from moe_core.dashboard.demo import read_demo, run_demo

    t = ctx.t
    requests = read_demo(DEMO_REQUESTS)
    bar = st.progress(0.0, text=t("Loading the model …"))
    model = resources.model(ctx)
    with resources.inference():
        if resources.has_store(ctx.store):
            resources.index(ctx.store).refresh()
        if data.has_requests(ctx):
            return  # another visitor was faster
        for progress in run_demo(model, ctx.store, requests):
            bar.progress(progress.done / progress.total, text=_progress_text(t, progress.done, progress.total))
    resources.index(ctx.store).refresh()


def _progress_text(t: Translate, done: int, total: int) -> str:
    return t("{done:,} of {total:,} answers recorded").format(done=done, total=total)

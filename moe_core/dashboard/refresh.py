"""Shows what other processes record: looks at the store's version, and reruns the page only when it grew."""

import streamlit as st

from moe_core.dashboard import resources
from moe_core.dashboard.context import PageContext
from moe_core.errors import RouteLensError

LOOK_EVERY_SECONDS = 0.6  # with the index' own refresh, new records are on screen within two seconds


def watch(ctx: PageContext) -> None:
    """Call once on a page that shows the log, after its first look at the store."""
    _watch(ctx, resources.version(ctx.store))


@st.fragment(run_every=LOOK_EVERY_SECONDS)
def _watch(ctx: PageContext, shown: int) -> None:
    try:
        grown = resources.version(ctx.store) != shown
    except RouteLensError:  # the page's own look at the store says what is wrong
        return
    if grown:
        st.rerun()

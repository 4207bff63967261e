"""The link from a shown decision to its explanation."""

import streamlit as st

from moe_core.dashboard.context import PAGES, PageContext


def why_link(ctx: PageContext, label: str, **where: str | int | None) -> None:
    """A link to *Why this expert*; where: request, position, layer, expert, as far as they are known."""
    query = {name: str(value) for name, value in where.items() if value is not None}
    st.page_link(
        PAGES / "why_this_expert.py", label=label, icon=":material/help_center:",
        query_params={**query, "lang": ctx.lang},
    )  # fmt: skip

"""The frame around every page: page settings, language, navigation. Streamlit's main script.

It must not lie beside a folder named pages/ (see app.py).
"""

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from moe_core.dashboard import document, style
from moe_core.dashboard.context import LANGUAGE_KEY, PAGES, language
from moe_core.dashboard.i18n import LANGUAGES, translator

ICON = PAGES.parent / "moe_core" / "dashboard" / "icon.png"

lang = language()
t = translator(lang)
st.set_page_config(
    page_title="RouteLens",
    page_icon=str(ICON),
    layout="wide",
    menu_items={"About": t("RouteLens shows, explains and audits what a sparse mixture-of-experts model decides.")},
)
document.sync(lang)
st.html(style.style_sheet())


def entry(name: str, title: str, icon: str, url_path: str | None = None, *, default: bool = False) -> StreamlitPage:
    """A page of the menu: `name` of its file, and where it differs from that its address."""
    return st.Page(
        PAGES / f"{name}.py", title=title, icon=f":material/{icon}:", url_path=url_path or name, default=default
    )


# Sections, because eleven pages beside one another do not fit: the last ones would hide behind "3 more".
page = st.navigation(
    {
        "": [
            entry("overview", t("Overview"), "insights", "home", default=True),
            entry("live", t("Live inference"), "bolt"),
            # the default page's address is "/": without this one, a link to /overview would say "Page not found"
            st.Page(PAGES / "overview.py", title=t("Overview"), url_path="overview", visibility="hidden"),
        ],
        t("Explain"): [
            entry("why_this_expert", t("Why this expert"), "help_center"),
            entry("expert_specialization", t("Expert specialization"), "category", "specialization"),
            entry("expert_card", t("Expert card"), "badge"),
        ],
        t("Tune"): [
            entry("load_balance", t("Load balance"), "balance"),
            entry("threshold_tuning", t("Threshold tuning"), "tune"),
        ],
        t("Audit"): [
            entry("fairness_audit", t("Bias and fairness audit"), "diversity_3"),
            entry("counterfactual_lab", t("Counterfactual lab"), "compare_arrows"),
            entry("audit_log", t("Audit log"), "fact_check"),
            entry("sql", t("SQL"), "database_search"),
        ],
    },
    position="top",
)

# `bind="query-params"` would put the label (?lang=日本語) into the link, and drop it where it is the default
st.session_state[LANGUAGE_KEY] = lang
if st.query_params.get(LANGUAGE_KEY) != lang:
    st.query_params[LANGUAGE_KEY] = lang
with st.container(key="frame_language", width="content"):
    st.segmented_control(
        t("Language"),
        list(LANGUAGES),
        required=True,
        format_func=LANGUAGES.__getitem__,
        key=LANGUAGE_KEY,
        label_visibility="collapsed",
    )

page.run()

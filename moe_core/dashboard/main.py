"""The frame around every page: page settings, language, navigation. Streamlit's main script.

It must not lie beside a folder named pages/ (see app.py).
"""

import streamlit as st

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

page = st.navigation(
    [
        st.Page(PAGES / "overview.py", title=t("Overview"), icon=":material/insights:", url_path="home", default=True),
        st.Page(PAGES / "live.py", title=t("Live inference"), icon=":material/bolt:", url_path="live"),
        st.Page(
            PAGES / "why_this_expert.py",
            title=t("Why this expert"),
            icon=":material/help_center:",
            url_path="why_this_expert",
        ),
        st.Page(PAGES / "load_balance.py", title=t("Load balance"), icon=":material/balance:", url_path="load_balance"),
        st.Page(
            PAGES / "expert_specialization.py",
            title=t("Expert specialization"),
            icon=":material/category:",
            url_path="specialization",
        ),
        st.Page(PAGES / "expert_card.py", title=t("Expert card"), icon=":material/badge:", url_path="expert_card"),
        st.Page(
            PAGES / "threshold_tuning.py",
            title=t("Threshold tuning"),
            icon=":material/tune:",
            url_path="threshold_tuning",
        ),
        st.Page(
            PAGES / "counterfactual_lab.py",
            title=t("Counterfactual lab"),
            icon=":material/compare_arrows:",
            url_path="counterfactual_lab",
        ),
        st.Page(
            PAGES / "fairness_audit.py",
            title=t("Bias and fairness audit"),
            icon=":material/diversity_3:",
            url_path="fairness_audit",
        ),
        st.Page(PAGES / "audit_log.py", title=t("Audit log"), icon=":material/fact_check:", url_path="audit_log"),
        st.Page(PAGES / "sql.py", title=t("SQL"), icon=":material/database_search:", url_path="sql"),
        # the default page's address is "/": without this one, a link to /overview would say "Page not found"
        st.Page(PAGES / "overview.py", title=t("Overview"), url_path="overview", visibility="hidden"),
    ],
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

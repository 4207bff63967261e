"""The document's language: Streamlit leaves <html lang="en">, so a one-line component sets it."""

import streamlit as st

_component = st.components.v2.component(
    "routelens_document_language",
    js="""
export default ({ data }) => {
  document.documentElement.lang = data
}
""",
)


def set_language(lang: str) -> None:
    """Set <html lang>, so that screen readers and line breaking use the language of the page."""
    _component(key="document_language", data=lang, height=1)

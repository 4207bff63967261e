"""What only the browser knows or can do: the document's language, and which theme is on.

Streamlit leaves <html lang="en">, and does not rerun a page when a visitor changes the theme in the menu. One
component without content mends both: it marks the document with language and theme (the style sheet reads the
mark, so colours change at once), and reports a theme that differs from the one the page was drawn in (so that
charts are drawn anew).
"""

import streamlit as st

DARK_KEY = "document_dark"

_component = st.components.v2.component(
    "routelens_document",
    js="""
let reported = null

function isDark() {
  const app = document.querySelector('.stApp')
  const parts = getComputedStyle(app || document.body).backgroundColor.match(/[\\d.]+/g) || [255, 255, 255]
  return (0.299 * parts[0] + 0.587 * parts[1] + 0.114 * parts[2]) < 128
}

export default ({ data, setStateValue }) => {
  document.documentElement.lang = data.lang
  const look = () => {
    const dark = isDark()
    document.documentElement.dataset.routelensTheme = dark ? 'dark' : 'light'
    if (dark !== (reported === null ? data.dark : reported)) setStateValue('dark', dark)
    reported = dark
  }
  look()
  const observer = new MutationObserver(() => {
    look()
    setTimeout(look, 400)
  })
  const app = document.querySelector('.stApp')
  if (app) observer.observe(app, { attributes: true, attributeFilter: ['class', 'style'] })
  return () => observer.disconnect()
}
""",
)


def sync(lang: str) -> None:
    """Mark the document with the language, and learn the theme. Call once in each rerun, before `is_dark`."""
    result = _component(key="document", data={"lang": lang, "dark": is_dark()}, height=1, on_dark_change=lambda: None)
    dark = getattr(result, "dark", None)
    if isinstance(dark, bool):
        st.session_state[DARK_KEY] = dark


def is_dark() -> bool:
    """Whether the browser shows the dark theme, as far as it has said."""
    dark = st.session_state.get(DARK_KEY)
    return dark if isinstance(dark, bool) else st.context.theme.type == "dark"

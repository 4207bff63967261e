"""What a page knows about its visitor: language, theme and the folders the process works with.

A page calls `page_context()` first. Nothing here reads the store.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from moe_core.dashboard.document import is_dark
from moe_core.dashboard.i18n import Translate, choose_language, translator

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "pages"
DEMO_REQUESTS = ROOT / "data" / "demo" / "requests.jsonl"
LANGUAGE_KEY = "lang"


@dataclass(frozen=True, kw_only=True, slots=True)
class PageContext:
    """One visitor, one rerun. `t` translates a msgid; `dark` is the theme the browser shows."""

    lang: str
    t: Translate
    dark: bool
    store: Path
    model: Path


def store_dir() -> Path:
    """The store this dashboard shows: $ROUTELENS_STORE, else data/store of the project."""
    return Path(os.environ.get("ROUTELENS_STORE") or ROOT / "data" / "store").resolve()


def model_dir() -> Path:
    """The model that answers on the live page: $ROUTELENS_MODEL, else data/models/reference."""
    return Path(os.environ.get("ROUTELENS_MODEL") or ROOT / "data" / "models" / "reference").resolve()


def language() -> str:
    """The visitor's language: the switch, else the link's `lang`, else the browser's."""
    return choose_language(st.session_state.get(LANGUAGE_KEY), st.query_params.get(LANGUAGE_KEY), st.context.locale)


def page_context() -> PageContext:
    """Language, theme and folders of this rerun."""
    lang = language()
    return PageContext(lang=lang, t=translator(lang), dark=is_dark(), store=store_dir(), model=model_dir())

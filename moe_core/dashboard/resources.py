"""What one process shares between all visitors: the model, the index of the store, the open live runs.

Read-only by contract, except through the inference lock. Nothing of this ever goes into a session's state.
"""

import atexit
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from moe_core.dashboard.context import PageContext
from moe_core.log.index import Index

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from moe_core.dashboard.recorder import LiveRecorder
    from moe_core.model.reference import RoutedModel

REFRESH_SECONDS = 0.4  # how often the index looks for what other processes recorded
NO_STORE = -1

_inference = threading.Lock()


@contextmanager
def inference() -> Iterator[None]:
    """One inference at a time: the model's arrays and the open runs are shared."""
    with _inference:
        yield


def model(ctx: PageContext) -> "RoutedModel":
    """The model that answers on the live page, loaded once for each state of its folder."""
    weights = ctx.model / "model.safetensors"
    return _model(str(ctx.model), weights.stat().st_mtime_ns if weights.exists() else 0)


@st.cache_resource(show_spinner=False, max_entries=1)
def _model(folder: str, stamp: int) -> "RoutedModel":
    from moe_core.model.reference import load_model

    return load_model(folder)


def recorder(ctx: PageContext) -> "LiveRecorder":
    """The open live runs of this process. Use it inside `inference()`."""
    return _recorder(model(ctx), str(ctx.store))


@st.cache_resource(show_spinner=False, max_entries=1, on_release=lambda kept: kept.close())
def _recorder(_model: "RoutedModel", store: str) -> "LiveRecorder":
    from moe_core.dashboard.recorder import LiveRecorder

    return LiveRecorder(_model, Path(store))


def vocabulary(ctx: PageContext, model_name: str) -> Callable[[int], str | None]:
    """token id -> token text of the named model; None for every id where the model folder holds another model."""
    path = ctx.model / "tokenizer.json"
    try:
        name = json.loads((ctx.model / "config.json").read_text(encoding="utf-8")).get("name", ctx.model.name)
    except (OSError, ValueError, AttributeError):
        name = None
    if name != model_name or not path.exists():
        return lambda token_id: None
    return _tokenizer(str(path)).id_to_token


@st.cache_resource(show_spinner=False, max_entries=1)
def _tokenizer(path: str) -> "Tokenizer":
    from tokenizers import Tokenizer

    return Tokenizer.from_file(path)


def has_store(store: Path) -> bool:
    """Whether something was ever recorded there."""
    return (store / "store.json").exists()


def index(store: Path) -> Index:
    """The index of the store, kept up to date by its own thread; in memory where another process owns the file."""
    return _index(str(store))


@st.cache_resource(show_spinner=False, max_entries=1, on_release=lambda opened: opened.close())
def _index(store: str) -> Index:
    opened = Index.open_or_private(store)
    atexit.register(opened.close)  # a clean end leaves a file that opens quickly; closing twice does nothing
    opened.start_background_refresh(REFRESH_SECONDS)
    return opened


def version(store: Path) -> int:
    """Grows with everything that is recorded; `NO_STORE` before the first record."""
    return index(store).version if has_store(store) else NO_STORE

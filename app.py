"""Launcher: `streamlit run app.py`, `python app.py`, `uvicorn app:app`, or `routelens serve`.

The main script lies in moe_core/dashboard/, not beside pages/: Streamlit's old automatic page menu
would otherwise serve a page without its frame on a cold deep link.
"""

import os
from pathlib import Path

# before the model's library is loaded: one short text is faster on one thread, and the pages keep the other cores
os.environ.setdefault("OMP_NUM_THREADS", "1")

import streamlit as st
from starlette.middleware import Middleware

from moe_core.dashboard.security import SecurityHeaders
from moe_core.dashboard.settings import force, not_in_force, server_settings

app = st.App(
    Path(__file__).resolve().parent / "moe_core" / "dashboard" / "main.py",
    middleware=[Middleware(SecurityHeaders)],
)

if __name__ == "__main__" and not st.runtime.exists():
    app.run(config=server_settings())
elif not_in_force():  # uvicorn, started from another folder, has not read .streamlit/config.toml
    force()

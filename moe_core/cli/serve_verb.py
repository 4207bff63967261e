"""`serve`: start the dashboard."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from moe_core.cli.output import DEFAULT_STORE, ModelOption, StoreOption
from moe_core.errors import InputError

LAUNCHER = Path(__file__).resolve().parents[2] / "app.py"


def serve(
    port: Annotated[int, typer.Option("--port", help="TCP port.")] = 8501,
    address: Annotated[str, typer.Option("--address", help="Address to listen on.")] = "127.0.0.1",
    store: StoreOption = DEFAULT_STORE,
    model: ModelOption = None,
) -> None:
    """Start the dashboard; it listens on this machine only unless --address says otherwise."""
    if not LAUNCHER.is_file():
        raise InputError(f"{LAUNCHER} is missing: `serve` needs the project's folder, see README.")
    environment = {**os.environ, "ROUTELENS_STORE": str(store.resolve()), "ROUTELENS_PORT": str(port),
                   "ROUTELENS_ADDRESS": address}  # fmt: skip
    if model is not None:
        environment["ROUTELENS_MODEL"] = str(model.resolve())
    raise typer.Exit(subprocess.run([sys.executable, str(LAUNCHER)], env=environment, check=False).returncode)

"""Keeps wall times beside the quality that was measured on the same weights, for the model card and the dashboard."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moe_core.bench.quality import read_evaluation
from moe_core.errors import InputError
from moe_core.model.checkpoint import MEASUREMENTS


def record(folder: Path, document: Mapping[str, Any]) -> Path:
    """Replaces `wall` in the folder's evaluation.json by the adaptive rows of a bench document, one per budget, regime
    and number of threads. Raises InputError where nothing was evaluated for these weights."""
    path = folder / MEASUREMENTS
    found = read_evaluation(folder, str(document["model_sha256"]))
    if found is None:
        raise InputError(
            f"{path} holds no figures of these weights: run `routelens evaluate` first, then measure again."
        )
    where = document["machine"]
    wall = [
        {
            "budget": float(row["variant"].partition("@")[2]), "regime": row["regime"], "threads": row["threads"],
            "ratio_wall_p50": row["ratio_wall_p50"], "ratio_wall_p99": row["ratio_wall_p99"],
            "repetitions": row["repetitions"],
        }
        for row in document["rows"]
        if row["variant"].startswith("adaptive@")
    ]  # fmt: skip
    machine = f"{where['cpu']}, {where['cores']} cores, torch {where['torch']}"
    result = {**found, "wall": wall, "wall_made": document["made"], "wall_machine": machine}
    path.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path

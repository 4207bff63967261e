"""`ablation.json` of a model folder: what was lost without each expert. Read without loading the model."""

import json
from pathlib import Path
from typing import Any

ABLATION = "ablation.json"
FORMAT = 1


def read_ablation(folder: Path, model_sha256: str) -> dict[str, Any] | None:
    """The document of exactly this model; None where there is none, where it is of other weights, or not readable."""
    try:
        document = json.loads((folder / ABLATION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return None
    return document if document.get("model_sha256") == model_sha256 else None

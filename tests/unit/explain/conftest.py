"""The shipped model and texts of the demo, loaded once."""

import json
from pathlib import Path

import pytest

from moe_core.model.reference import RoutedModel, load_model

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def model() -> RoutedModel:
    return load_model()


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Texts of the demo requests."""
    path = ROOT / "data/demo/requests.jsonl"
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]

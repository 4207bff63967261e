"""Where the shipped model lies. Loads nothing."""

from pathlib import Path

REFERENCE_FOLDER = Path(__file__).resolve().parents[2] / "data" / "models" / "reference"

"""TOML configuration: unknown keys and wrong types are named."""

from pathlib import Path

import pytest

from moe_core.config import load_config
from moe_core.errors import ConfigError
from moe_core.model.training import TrainingConfig


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step = 3", r"unknown key 'step'\. Did you mean 'steps'"),
        ("[objective]\ntau_tip = 1.0", r"objective: unknown key 'tau_tip'\. Did you mean 'tau_top'"),
        ("steps = 'many'", "steps is 'many'; expected int"),
        ("steps = true", "steps is True; expected int"),
        ("precision = 'float8'", "valid values: 'float32', 'bfloat16'"),
        ("objective = 3", "objective must be a table"),
        ("steps = ", "not valid TOML"),
        ("[balance]\nsmoothing = 1.5", r"smoothing must lie in \[0, 1\)"),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    """File, key and what would be right."""
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path, TrainingConfig)


def test_the_shipped_configuration_loads_and_integers_serve_as_floats(tmp_path: Path) -> None:
    """data/configs/reference.toml is valid; `clip = 1` means 1.0."""
    assert load_config(Path("data/configs/reference.toml"), TrainingConfig).n_experts == 16
    path = tmp_path / "c.toml"
    path.write_text("clip = 1")
    assert load_config(path, TrainingConfig).clip == 1.0
    with pytest.raises(ConfigError, match="There is no configuration file"):
        load_config(tmp_path / "none.toml", TrainingConfig)

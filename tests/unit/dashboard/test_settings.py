"""One set of settings, however the server is started."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from streamlit import config

from moe_core.dashboard import settings
from moe_core.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested TOML tables as dotted keys."""
    result: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        result |= flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return result


def test_the_config_file_equals_the_settings_in_code() -> None:
    """`streamlit run app.py` and `routelens serve` start the same dashboard."""
    with (ROOT / ".streamlit" / "config.toml").open("rb") as file:
        assert flat(tomllib.load(file)) == settings.SETTINGS


def test_every_setting_is_one_that_streamlit_knows() -> None:
    """A misspelt key would be ignored in the file and refused at start."""
    assert set(settings.SETTINGS) <= set(config._config_options_template)


def test_nothing_leaves_the_machine_and_no_agent_gets_in() -> None:
    """Telemetry, static files and the agent interface are off; the server listens on this machine only."""
    wanted = {
        "browser.gatherUsageStats": False,
        "server.enableStaticServing": False,
        "server.enableAgentApi": False,
        "server.address": "127.0.0.1",
        "server.enableXsrfProtection": True,
        "server.enableCORS": True,
        "client.showErrorDetails": "none",
        "server.maxUploadSize": 5,
    }
    assert {key: settings.SETTINGS[key] for key in wanted} == wanted


def test_a_setting_that_is_not_in_force_is_named() -> None:
    """A server started from another folder, without our file, is found out."""
    read = {key: settings.SETTINGS[key] for key in settings.REQUIRED}
    assert settings.not_in_force(read) == []
    assert settings.not_in_force(read | {"browser.gatherUsageStats": True}) == ["browser.gatherUsageStats"]


def test_port_and_address_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`routelens serve --port 9000 --address 0.0.0.0` reaches the server."""
    monkeypatch.setenv("ROUTELENS_PORT", "9000")
    monkeypatch.setenv("ROUTELENS_ADDRESS", "0.0.0.0")
    values = settings.server_settings()
    assert (values["server.port"], values["server.address"]) == (9000, "0.0.0.0")
    monkeypatch.delenv("ROUTELENS_PORT")
    monkeypatch.delenv("ROUTELENS_ADDRESS")
    values = settings.server_settings()
    assert (values["server.port"], values["server.address"]) == (8501, "127.0.0.1")


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", ""])
def test_a_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    """The message names the variable and the range."""
    monkeypatch.setenv("ROUTELENS_PORT", port)
    with pytest.raises(ConfigError, match="ROUTELENS_PORT"):
        settings.server_settings()

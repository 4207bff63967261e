"""The Streamlit settings RouteLens runs with: one dict, used by every way to start the server.

`.streamlit/config.toml` holds the same values for people who type `streamlit run app.py`; a test keeps
the two equal. `REQUIRED` names the settings without which the dashboard refuses to start, because a
configuration file was missed (a server started from another folder does that) and would send telemetry
or show tracebacks.
"""

import os
from collections.abc import Mapping
from typing import Any

from streamlit import config

from moe_core.errors import ConfigError

FONT = "'Source Sans', 'Noto Sans JP', 'Noto Sans CJK JP', 'Hiragino Sans', 'Yu Gothic UI', Meiryo, sans-serif"

SETTINGS: dict[str, Any] = {
    "server.headless": True,
    "server.address": "127.0.0.1",
    "server.enableXsrfProtection": True,
    "server.enableCORS": True,
    "server.maxUploadSize": 5,
    "server.fileWatcherType": "none",
    "server.enableStaticServing": False,
    "server.enableAgentApi": False,
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "runner.postScriptGC": False,  # a full collection after each look for new records cost ten times the look
    "theme.font": FONT,
    "theme.baseFontSize": 15,
    "theme.baseRadius": "0.6rem",
    "theme.headingFontSizes": ["1.9rem", "1.2rem", "1.06rem"],
    "theme.headingFontWeights": [650, 650, 650],
    "theme.metricValueFontSize": "1.9rem",
    "theme.paddingTop": "0.6rem",
    "theme.paddingBottom": "4rem",
    "theme.showWidgetBorder": True,
    "theme.light.primaryColor": "#0B5CAD",
    "theme.light.backgroundColor": "#F7F8FA",
    "theme.light.secondaryBackgroundColor": "#FFFFFF",
    "theme.light.textColor": "#14202E",
    "theme.light.borderColor": "#DDE3EA",
    "theme.light.linkColor": "#0B5CAD",
    "theme.light.dataframeHeaderBackgroundColor": "#F0F3F6",
    "theme.dark.primaryColor": "#5AB0F2",
    "theme.dark.backgroundColor": "#0E141B",
    "theme.dark.secondaryBackgroundColor": "#161F2A",
    "theme.dark.textColor": "#E8EEF5",
    "theme.dark.borderColor": "#27343F",
    "theme.dark.linkColor": "#7CC0F5",
    "theme.dark.dataframeHeaderBackgroundColor": "#1C2733",
}

REQUIRED = (
    "server.enableXsrfProtection",
    "server.enableCORS",
    "server.enableStaticServing",
    "server.enableAgentApi",
    "browser.gatherUsageStats",
    "client.showErrorDetails",
)


def not_in_force(read: Mapping[str, Any] | None = None) -> list[str]:
    """Names of required settings whose value in the running server differs from `SETTINGS`."""
    values = {key: config.get_option(key) for key in REQUIRED} if read is None else read
    return [key for key in REQUIRED if values.get(key) != SETTINGS[key]]


def require_in_force() -> None:
    """Raise ConfigError if the server runs without the settings that keep it private."""
    wrong = not_in_force()
    if wrong:
        raise ConfigError(
            f"The server runs without RouteLens' settings ({', '.join(wrong)}), so it could send usage data or "
            "show tracebacks: start it with `routelens serve`, or with `streamlit run app.py` in the project folder."
        )


def force() -> None:
    """Put `SETTINGS` in force in this process: for `uvicorn app:app`, which reads no setting of ours."""
    for key, value in SETTINGS.items():
        config.set_option(key, value)


def server_settings() -> dict[str, Any]:
    """`SETTINGS` with the port and address that `routelens serve` asks for in the environment.

    Raises ConfigError for a port that is none.
    """
    port = os.environ.get("ROUTELENS_PORT", "8501")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f"ROUTELENS_PORT is {port!r}: give a port from 1 to 65535.")
    address = os.environ.get("ROUTELENS_ADDRESS") or SETTINGS["server.address"]
    return SETTINGS | {"server.port": int(port), "server.address": address}

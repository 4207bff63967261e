"""Headers of every answer, and nothing in the code that would let foreign text run."""

import re
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from moe_core.dashboard.security import CONTENT_SECURITY_POLICY, HEADERS, SecurityHeaders

ROOT = Path(__file__).resolve().parents[3]
FORBIDDEN = (
    "unsafe_allow_javascript",
    "unsafe_allow_html",
    "st.iframe(",
    "innerHTML",
    "insertAdjacentHTML",
    "document.write",
)


@pytest.fixture
def client() -> TestClient:
    """A small app behind the middleware."""

    async def plain(request: object) -> PlainTextResponse:
        return PlainTextResponse("hello", headers={"X-Frame-Options": "ALLOWALL"})

    async def stream(request: object) -> StreamingResponse:
        async def parts():  # type: ignore[no-untyped-def]
            yield b"a"
            yield b"b"

        return StreamingResponse(parts())

    app = Starlette(routes=[Route("/plain", plain), Route("/stream", stream)])
    return TestClient(SecurityHeaders(app))


@pytest.mark.parametrize("path", ["/plain", "/stream", "/missing"])
def test_every_answer_carries_the_headers(client: TestClient, path: str) -> None:
    """Pages, streams and errors alike; a weaker header of the app below is replaced."""
    response = client.get(path)
    for name, value in HEADERS.items():
        assert response.headers[name] == value
    if path == "/stream":
        assert response.text == "ab"


def test_the_policy_allows_no_other_host() -> None:
    """No scheme or host but our own; no plug-ins, no frames, no eval."""
    assert not re.search(r"https?:|wss?:|\*|unsafe-eval", CONTENT_SECURITY_POLICY)
    assert "default-src 'self'" in CONTENT_SECURITY_POLICY
    assert "object-src 'none'" in CONTENT_SECURITY_POLICY
    (scripts,) = [part for part in CONTENT_SECURITY_POLICY.split("; ") if part.startswith("script-src")]
    assert "unsafe" not in scripts
    assert "sha256-" in scripts


def test_no_file_lets_foreign_text_become_code() -> None:
    """Neither Python nor JavaScript of the dashboard uses a way that runs or renders text as markup."""
    files = [
        *(ROOT / "pages").glob("*.py"),
        *(ROOT / "moe_core").rglob("*.py"),
        *(ROOT / "moe_core").rglob("*.js"),
        ROOT / "app.py",
    ]
    assert len(files) > 20
    for path in files:
        source = path.read_text(encoding="utf-8")
        assert not [word for word in FORBIDDEN if word in source], path


def test_only_the_widgets_draw_plotly_charts() -> None:
    """One place sets theme, configuration and alternative text."""
    callers = [
        path.name
        for folder in ("pages", "moe_core")
        for path in (ROOT / folder).rglob("*.py")
        if "st.plotly_chart(" in path.read_text(encoding="utf-8")
    ]
    assert callers == ["widgets.py"]


def test_no_chart_needs_what_the_policy_forbids() -> None:
    """WebGL traces of Plotly build functions from text, which needs `unsafe-eval`: they would stay empty."""
    for path in (ROOT / "moe_core" / "charts").glob("*.py"):
        assert "gl(" not in path.read_text(encoding="utf-8"), path

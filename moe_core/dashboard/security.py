"""Security headers for every HTTP answer of the dashboard, as a plain ASGI middleware.

It wraps `send` only, so that streamed answers stay unbuffered and websockets pass untouched.
"""

import base64
import hashlib
import re
from pathlib import Path

import streamlit
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def inline_script_hashes(page: Path) -> list[str]:
    """CSP sources for the inline scripts of Streamlit's own start page, so that no other inline script may run."""
    scripts = re.findall(r"<script>(.*?)</script>", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode() for script in scripts]
    return [f"'sha256-{digest}'" for digest in digests]


_START_PAGE = Path(streamlit.__file__).resolve().parent / "static" / "index.html"

# blob: is how components load their module; inline styles are how Plotly and Streamlit's style engine draw.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        " ".join(["script-src", "'self'", "blob:", *inline_script_hashes(_START_PAGE)]),
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "frame-src 'none'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
}


class SecurityHeaders:
    """Adds `HEADERS` to each HTTP response of the wrapped app."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        await self.app(scope, receive, send_with_headers)

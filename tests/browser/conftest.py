"""The real server in its own process, and Debian's Chromium that reports every request and every error."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Streamlit asks for these two below the page's path before it finds them at the root
PROBES = ("/_stcore/health", "/_stcore/host-config")


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A running dashboard: its address and the store it shows."""

    url: str
    store: Path


@dataclass
class Watched:
    """A page, and what it did that it should not have done."""

    page: Page
    base: str
    external: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def watch(self) -> None:
        own = (self.base, self.base.replace("http", "ws"), "data:", "blob:")
        self.page.on("request", lambda r: None if r.url.startswith(own) else self.external.append(r.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._console)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not str(message.location.get("url", "")).endswith(PROBES):
            self.errors.append(message.text)

    def open(self, path: str) -> None:
        """Open a path of the dashboard and wait until its title is there."""
        self.page.goto(f"{self.base}/{path}")
        self.page.wait_for_selector("h1", timeout=60_000)


Serve = Callable[[Path], Server]


@contextmanager
def running(store: Path) -> Iterator[Server]:
    """Start `app.py` from another folder on a free port; its output is shown if it dies early."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "ROUTELENS_STORE": str(store),
        "ROUTELENS_PORT": str(port),
        "ROUTELENS_ADDRESS": "127.0.0.1",
    }
    store.parent.mkdir(parents=True, exist_ok=True)
    log = store.parent / f"server-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "app.py")], cwd=store.parent, env=environment, stdout=output, stderr=output
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            if process.poll() is not None:
                pytest.fail(f"the server ended: {log.read_text()}")
            try:
                with urllib.request.urlopen(f"{url}/_stcore/health", timeout=5):
                    break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.2)
        else:
            pytest.fail(f"the server does not answer: {log.read_text()}")
        yield Server(url=url, store=store)
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A fresh server that shows a store which does not exist yet."""
    with running(tmp_path / "work" / "store") as started:
        yield started


@pytest.fixture
def watched(browser: Browser, server: Server) -> Iterator[Watched]:
    """A fresh page on the fresh server. At the end: no external request, no error."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, locale="en-US")
    result = Watched(page=context.new_page(), base=server.url)
    result.watch()
    yield result
    context.close()
    assert not result.external
    assert not result.errors


def infer(store: Path, *words: str) -> str:
    """`routelens infer` in a process of its own; its standard output."""
    environment = {k: v for k, v in os.environ.items() if k != "ROUTELENS_STORE"}
    command = [sys.executable, "-m", "moe_core", "infer", *words, "--store", str(store), "--json"]
    model = os.environ.get("ROUTELENS_MODEL")
    command += ["--model", model] if model else []
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout

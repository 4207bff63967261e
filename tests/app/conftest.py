"""A tiny model with random weights and stores filled by it: enough to test pages, never shown to anybody."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

from moe_core.dashboard import context, demo, resources
from moe_core.model.calibration import Calibration, DialPoint
from moe_core.model.encoder import EncoderConfig
from moe_core.model.heads import Head, HeadCard
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import TextRequest
from moe_core.model.split import expert_layers, split_into_experts
from moe_core.model.tokens import TextTokenizer
from tests.unit.tiny_encoders import save_tokenizer

ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "moe_core" / "dashboard" / "main.py"
WORDS = [
    "the",
    "parcel",
    "never",
    "arrived",
    "and",
    "nobody",
    "answers",
    "good",
    "bad",
    "box",
    "late",
    "img",
    "src",
    "x",
]
OTHER_ADDRESS = ("expert_specialization",)  # not that of its file: AppTest knows it after a first run only
HOSTILE = "<img src=x onerror=alert(1)>"

Open = Callable[..., AppTest]


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what pages read without loading the model: name and tokenizer."""
    folder = tmp_path_factory.mktemp("model")
    save_tokenizer(folder / "tokenizer.json", WORDS, punctuation=True)
    (folder / "config.json").write_text('{"name": "tiny"}', encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_model(model_dir: Path) -> RoutedModel:
    """2 layers of 4 experts, two heads, a dial of three points."""
    torch.manual_seed(3)
    dense = EncoderConfig(
        vocab_size=150, n_positions=64, d_model=16, n_layers=2, n_heads=4, d_hidden=32, n_experts=0
    ).build()
    for parameter in dense.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    dense = dense.eval().requires_grad_(False)
    adapted = split_into_experts(dense, n_experts=4, router_hidden=8, ramp=0.2, seed=0)
    for block in expert_layers(adapted):
        torch.nn.init.normal_(block.router.outer.weight, std=1.0)
    points = tuple(
        DialPoint(tau, share, 0.9, 0.8, 10, 100, [share] * 2, {}) for tau, share in ((0.9, 0.3), (0.5, 0.6), (0.0, 1.0))
    )
    heads = {
        name: Head(HeadCard(name=name, labels=labels), torch.randn(2, 16), torch.zeros(2))
        for name, labels in (("sentiment", ["negative", "positive"]), ("spam", ["ham", "spam"]))
    }
    return RoutedModel(
        adapted=adapted.eval().requires_grad_(False),
        dense=dense,
        tokenizer=TextTokenizer(model_dir / "tokenizer.json", 64),
        calibration=Calibration(points),
        heads=heads,
        name="tiny",
        sha256="a" * 64,
        folder=model_dir,
        default_head="sentiment",
    )


@pytest.fixture(scope="session")
def sample_store_master(tiny_model: RoutedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the demo runs of 40 texts in two domains; one of the texts is hostile."""
    store = tmp_path_factory.mktemp("sample") / "store"
    texts = [f"the parcel never arrived {WORDS[i % 7]} {i}" for i in range(39)]
    requests = [TextRequest(text=text, domain=("mail", "web_shop")[i % 2]) for i, text in enumerate([*texts, HOSTILE])]
    for _ in demo.run_demo(tiny_model, store, requests):
        pass
    return store


@pytest.fixture
def sample_store(sample_store_master: Path, tmp_path: Path) -> Path:
    """A copy of the filled store that a test may change."""
    return Path(shutil.copytree(sample_store_master, tmp_path / "store"))


@pytest.fixture
def missing_store(tmp_path: Path) -> Path:
    """A folder that does not exist."""
    return tmp_path / "nowhere"


@pytest.fixture
def demo_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A demo file of 30 texts in place of the bundled one."""
    path = tmp_path / "requests.jsonl"
    path.write_text(
        "\n".join(f'{{"text": "the parcel never arrived {i}", "domain": "mail", "label": "bad"}}' for i in range(30)),
        encoding="utf-8",
    )
    from moe_core.dashboard import first_start

    monkeypatch.setattr(first_start, "DEMO_REQUESTS", path)
    return path


@pytest.fixture
def open_page(model_dir: Path, tiny_model: RoutedModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """open_page(store, page="overview", lang="en", **query) -> the page after its first run."""
    monkeypatch.setattr(resources, "model", lambda ctx: tiny_model)
    monkeypatch.setattr(context, "model_dir", lambda: model_dir)
    clear_caches()

    def open_(store: Path, page: str = "overview", lang: str = "en", **query: str) -> AppTest:
        monkeypatch.setenv("ROUTELENS_STORE", str(store))
        at = AppTest.from_file(str(MAIN), default_timeout=60)
        at.query_params["lang"] = lang
        for name, value in query.items():
            at.query_params[name] = value
        if page in OTHER_ADDRESS:
            at.run()
        at.switch_page(str(ROOT / "pages" / f"{page}.py")) if page != "overview" else None
        return at.run()

    yield open_
    clear_caches()


def clear_caches() -> None:
    """Close the index and the open live runs of the last test."""
    st.cache_data.clear()
    st.cache_resource.clear()


def texts_of(at: AppTest) -> str:
    """Everything the page says in words."""
    parts = [e.value for kind in (at.title, at.header, at.markdown, at.caption, at.text, at.code) for e in kind]
    parts += [f"{m.label} {m.value}" for m in at.metric]
    return "\n".join(str(part) for part in parts)

"""The page about experts: findings or their absence, filters in the link, hostile names as text, erased texts."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from moe_core.log.imports.parquet import import_parquet
from moe_core.log.index import Index
from moe_core.log.redact import redact
from tests.app.conftest import HOSTILE, Open, texts_of
from tests.unit.cli.specialized_texts import DOMAINS, sentences, write_run

PAGE = "expert_specialization"
LINK = "![x](http://example.com/x.png)"


@pytest.fixture(scope="module")
def planted_master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two imported runs of 300 texts: "planted" has an expert for numbers and one for a domain of a hostile name."""
    folder = tmp_path_factory.mktemp("planted")
    rng = np.random.default_rng(3)
    texts, domains = sentences(rng, 300)
    words = [text.split() for text in texts]
    number_of = {word: i for i, word in enumerate(sorted({word for each in words for word in each}))}
    ids = [[number_of[word] for word in each] for each in words]
    numbers = [[word.isdigit() for word in each] for each in words]
    planted = {"number_expert": (1, 5), "domain_expert": (0, 3)}
    for run_id, experts in (("planted", planted), ("plain", {})):
        source = write_run(folder / run_id, rng, texts, ids, numbers, domains=domains, run_id=run_id, **experts)
        import_parquet(source, folder / "store")
    named = [LINK if domain == DOMAINS[0] else domain for domain in domains]
    rng = np.random.default_rng(4)
    source = write_run(folder / "link", rng, texts, ids, numbers, domains=domains, run_id="link", domain_expert=(0, 3))
    table = pq.read_table(source / "requests.parquet")
    place = table.column_names.index("domain")
    pq.write_table(table.set_column(place, "domain", [named]), source / "requests.parquet")
    import_parquet(source, folder / "store")
    return folder / "store"


@pytest.fixture
def planted(planted_master: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(planted_master, tmp_path / "store"))


def whole(at: AppTest) -> AppTest:
    assert not at.exception, at.exception
    assert not {"This did not work", "処理できませんでした"} & {h.value for h in at.header}, texts_of(at)
    return at


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_title_names_what_was_found(open_page: Open, planted: Path, lang: str) -> None:
    """Both planted experts are in the table with n and interval; the title says how many of how many."""
    at = whole(open_page(planted, PAGE, lang, run="planted"))
    assert at.title[0].value.startswith("2 of 16 experts specialise" if lang == "en" else "16個中2個のエキスパート")
    table = next(frame.value for frame in at.dataframe if len(frame.value.columns) == 11)
    experts = set(table.iloc[:, 0])
    assert {"1:5", "0:3"} <= experts
    assert (table.iloc[:, 5] > 0).all()
    if lang == "en":
        assert "numbers" in set(table["Runs more or less often for"])


def test_a_run_without_specialists_says_so(open_page: Open, planted: Path) -> None:
    """A normal result: no table, no name, the number of tests in the title."""
    at = whole(open_page(planted, PAGE, run="plain"))
    assert at.title[0].value.startswith("No specialization found (n = 300 documents")
    assert "normal result" in texts_of(at)


def test_a_name_from_the_log_is_no_markdown(open_page: Open, planted: Path) -> None:
    """A domain that would load a picture from elsewhere stands there letter by letter."""
    at = whole(open_page(planted, PAGE, run="link"))
    shown = [element.value for kind in (at.title, at.markdown, at.caption, at.subheader) for element in kind]
    assert any("example.com" in text for text in shown)
    assert not any(LINK in text or "http://" in text for text in shown)


def test_a_cluster_of_a_link_is_chosen(open_page: Open, planted: Path) -> None:
    """With it the table shows the experts of the cluster only; one that does not exist falls back to all."""
    at = whole(open_page(planted, PAGE, run="planted"))
    options = at.selectbox(key="specialization_cluster").options
    for option in options[1:2]:
        at.selectbox(key="specialization_cluster").select(option)
        whole(at.run())
    at = whole(open_page(planted, PAGE, run="planted", cluster="expert-99"))
    assert at.selectbox(key="specialization_cluster").index == 0


def test_erased_texts_are_said_to_be(open_page: Open, sample_store: Path) -> None:
    """Typical texts of a cluster come from the log; hostile ones are text, erased ones say so."""
    at = whole(open_page(sample_store, PAGE))
    assert not any(HOSTILE in element.value for kind in (at.markdown, at.caption, at.title) for element in kind)
    with Index.open_private(sample_store) as index:
        ids = list(index.frame("SELECT request_id FROM requests WHERE mode = 'adaptive'")["request_id"])
    for request_id in ids:
        redact(sample_store, request_id, reason="asked for")
    at = whole(open_page(sample_store, PAGE))
    assert "The tokens of this run are not known" in texts_of(at)


def test_saturation_is_shown_where_it_was_measured(
    open_page: Open, sample_store: Path, model_dir: Path
) -> None:
    """Without the file there is no card; a damaged file is no card either."""
    title = "When did the routing settle in training?"
    assert title not in {h.value for h in whole(open_page(sample_store, PAGE)).header}
    rows = [
        {"step": step, "layer": layer, "agreement": step / 200, "low": step / 300, "high": step / 100}
        for step in (10, 50, 90) for layer in (0, 1)
    ]  # fmt: skip
    file = model_dir / "saturation.json"
    try:
        file.write_text(json.dumps({"recipe": "tiny", "n_texts": 5, "n_tokens": 50, "rows": rows, "note": "n"}))
        at = whole(open_page(sample_store, PAGE))
        assert title in {h.value for h in at.header}
        file.write_text('{"rows": 3}')
        assert title not in {h.value for h in whole(open_page(sample_store, PAGE)).header}
    finally:
        file.unlink()

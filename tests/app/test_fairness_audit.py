"""The audit page: steps, three verdicts with their numbers, the stamp, links to requests, errors in one sentence."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from moe_core.analysis.audit.controls import NegativeControl
from moe_core.dashboard import fairness_data
from moe_core.log.imports.parquet import import_parquet
from moe_core.log.store import create_store
from moe_core.log.writer import SegmentSink
from tests.app.conftest import HOSTILE, Open, texts_of
from tests.unit.cli.routed_texts import GROUPS, PLANTED_EXPERTS, PLANTED_LAYER, make_texts, write_texts
from tests.unit.log.build import make_batch, make_request, make_run

PER_GROUP = 40


@pytest.fixture(scope="module")
def audited_master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two imported runs of 120 texts each: in "planted" two experts of layer 1 run more often for "west", in "same"
    nothing differs. Answers: west gets "yes" three times as often as the others."""
    folder = tmp_path_factory.mktemp("audited")
    for seed, (run_id, factor) in enumerate((("same", 1.0), ("planted", 3.0)), start=1):
        texts = make_texts(np.random.default_rng(seed), PER_GROUP, rule="threshold", factor=factor)
        label = ["yes" if (g == 2 or i % 4 == 0) else "no" for i, g in enumerate(texts.group_R)]
        scores = ["nan" if i == 5 else "x" for i in range(len(label))]
        write_texts(folder / run_id, texts, run_id, label=label, reference_label=scores)
        import_parquet(folder / run_id, folder / "store")
    return folder / "store"


@pytest.fixture
def audited_store(audited_master: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(audited_master, tmp_path / "store"))


def run(at: AppTest) -> AppTest:
    """Press the button."""
    at.button(key="fairness_run").click().run()
    assert not at.exception, at.exception
    return at


def panel(at: AppTest) -> bool:
    return bool({"This did not work", "処理できませんでした"} & {h.value for h in at.header})


def sentences(at: AppTest) -> str:
    return "\n".join(text.value for text in at.text)


def test_nothing_is_audited_before_the_button(
    open_page: Open, audited_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps and the sizes of the groups stand there; no number, no verdict, and no test was made."""
    monkeypatch.setattr(fairness_data, "audit_question", lambda *_: pytest.fail("audited without being asked"))
    at = open_page(audited_store, "fairness_audit")
    assert not at.exception
    assert not at.metric
    assert [h.value for h in at.header] == ["1. Question", "2. Groups", "3. Strata", "4. Run"]
    assert at.selectbox(key="fairness_group").value == "tone"  # of the two attributes the one with fewer groups
    assert at.dataframe[0].value["Requests (n)"].sum() == 3 * PER_GROUP
    assert at.title[0].value == "Choose groups, then run the audit"


def test_a_planted_difference_is_named_with_n_and_interval(open_page: Open, audited_store: Path) -> None:
    """Routing and outcome differ; the flagged cells are the planted ones; sizes stand before any metric."""
    at = run(open_page(audited_store, "fairness_audit", run="planted", group="region", reference="south"))
    assert at.title[0].value.startswith("Routing: difference found")
    assert at.title[0].value.endswith("Outcome: difference found")
    assert [m.label for m in at.metric] == [
        "Clearest difference of an expert", "Largest ratio of a measure", "Demographic parity difference",
    ]  # fmt: skip
    assert f"Routing differs: layer {PLANTED_LAYER}, largest contributor expert" in sentences(at)
    bases = [c.value for c in at.caption if "95%" in c.value and "n = " in c.value]
    assert len(bases) >= 3
    assert "Demo data" not in texts_of(at)
    sizes = next(frame.value for frame in at.dataframe if "Documents (n)" in frame.value)
    assert sizes["Documents (n)"].tolist() == [PER_GROUP] * 3
    cells = next(f.value for f in at.dataframe if "q (BH)" in f.value)
    flagged = cells[cells["Flagged"] == "◆"]
    assert set(flagged["Layer"]) == {PLANTED_LAYER}
    assert set(flagged["Expert"]) >= set(PLANTED_EXPERTS)
    assert set(cells["Group"]) == {"west"}


def test_no_difference_says_what_could_have_been_found(open_page: Open, audited_store: Path) -> None:
    """With the smallest difference that would be found, and in Japanese too."""
    for lang, found, words in (
        ("en", "Routing: none found", "would have been found in 4 of 5 such logs"),
        ("ja", "ルーティング：差は見つからず", "ログ5件のうち4件で見つかります"),
    ):
        at = run(open_page(audited_store, "fairness_audit", lang, run="same", group="region", outcome=""))
        assert at.title[0].value.startswith(found)
        assert words in texts_of(at)


def test_the_requests_of_a_cell_link_to_the_audit_log(open_page: Open, audited_store: Path) -> None:
    """Every request of the chosen expert carries its address in the audit log, both groups are there."""
    at = run(open_page(audited_store, "fairness_audit", run="planted", group="region"))
    at.selectbox(key="fairness_cell").set_value(f"{PLANTED_LAYER}:{PLANTED_EXPERTS[0]}").run()
    rows = next(f.value for f in at.dataframe if "Request ID" in f.value)
    assert len(rows) == 16
    assert set(rows["Group"]) == set(GROUPS)
    for request_id, link in zip(rows["Request ID"], rows["Decisions"], strict=True):
        assert link == f"audit_log?request={request_id}&lang=en"


def test_an_audit_that_fails_its_self_test_is_stamped(
    open_page: Open, audited_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The title is the stamp, the reason stands below it, the stamp lies across the result; a valid one has none."""
    at = run(open_page(audited_store, "fairness_audit", run="planted", group="region"))
    assert not any("content:" in html.proto.body for html in at.get("html"))
    monkeypatch.setattr(NegativeControl, "passed", property(lambda self: False))
    at = run(open_page(audited_store, "fairness_audit", run="same", group="region"))
    assert at.title[0].value == "AUDIT NOT VALID"
    assert "Labels shuffled by request" in sentences(at)
    assert "Not valid: do not use these numbers" in [h.value for h in at.header]
    assert any("AUDIT NOT VALID · AUDIT" in html.proto.body for html in at.get("html"))
    assert "✗ FAILED" in texts_of(at)


def test_strata_give_both_results(open_page: Open, audited_store: Path) -> None:
    """Within strata first, and the documents as they are beside it."""
    at = open_page(audited_store, "fairness_audit", run="planted", group="region", strata="length")
    run(at)
    assert "Within strata above. Without strata (120 documents as they are): something is flagged." in texts_of(at)
    assert "Within 4 strata of: text length" in sentences(at)
    at.selectbox(key="fairness_analysis").set_value("marginal").run()
    assert not at.exception
    assert not panel(at)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        pytest.param({"run": "same", "group": "mode"}, "compares two or more groups", id="one group"),
        pytest.param({"run": "same", "group": "reference_label"}, "an audit needs two such groups", id="too small"),
        pytest.param(
            {"run": "same", "group": "region", "outcome": "reference_label"}, "NaN or infinite in 1 of 120", id="NaN"
        ),
    ],
)
def test_what_cannot_be_audited_is_one_sentence(
    open_page: Open, audited_store: Path, query: dict[str, str], words: str
) -> None:
    """In the error panel, without the options of the command line; the form stays and works again."""
    at = run(open_page(audited_store, "fairness_audit", **query))
    assert panel(at)
    assert words in sentences(at)
    assert "--" not in sentences(at)
    assert not at.metric
    at.selectbox(key="fairness_group").set_value("region").run()
    at.selectbox(key="fairness_outcome").set_value("").run()
    assert len(run(at).metric) == 3


def test_a_link_with_nonsense_falls_back(open_page: Open, audited_store: Path) -> None:
    """Unknown runs, columns, values: the defaults, no error, nothing of it on the page as markup."""
    at = open_page(audited_store, "fairness_audit", run=HOSTILE, group=HOSTILE, strata=HOSTILE, cell="9:9", unit="x")
    assert len(run(at).metric) == 3
    assert not panel(at)
    assert not any("<img" in m.value for m in [*at.markdown, *at.caption, *at.title, *at.header])


def test_changed_choices_are_said_and_the_result_stays(open_page: Open, audited_store: Path) -> None:
    """A result always belongs to the choices it was made of."""
    at = run(open_page(audited_store, "fairness_audit", run="planted", group="region"))
    before = at.title[0].value
    at.selectbox(key="fairness_group").set_value("tone").run()
    assert at.title[0].value == before
    assert "The choices have changed since this audit ran" in texts_of(at)


def test_demo_data_are_named(open_page: Open, sample_store: Path) -> None:
    """The badge and the notice, in both languages."""
    for lang, words in (("en", "DEMO DATA"), ("ja", "デモデータ")):
        at = run(open_page(sample_store, "fairness_audit", lang, group="domain"))
        assert words in sentences(at)
        assert not panel(at)


def test_the_result_can_be_taken_away(open_page: Open, audited_store: Path) -> None:
    """CSV of the experts, JSON of the report."""
    at = run(open_page(audited_store, "fairness_audit", run="same", group="region"))
    assert [button.label for button in at.get("download_button")] == ["Download CSV", "Download JSON"]


def test_windows_are_audited_when_they_are_opened(open_page: Open, audited_store: Path) -> None:
    """Closed: nothing was computed. Imported texts all began at one time: one window."""
    at = run(open_page(audited_store, "fairness_audit", run="planted", group="region"))
    assert "Windows: " not in texts_of(at)
    at.session_state["fairness_time"] = True
    assert "Windows: 1; audited: 1; flagged: 1." in texts_of(at.run())
    assert not panel(at)


def test_an_audit_of_a_damaged_log_is_stamped(open_page: Open, tmp_path: Path) -> None:
    """One of three batches is not what was written: the reason says how many decisions are missing, what to run."""
    rng = np.random.default_rng(5)
    with SegmentSink(tmp_path / "store", flush_seconds=60) as sink:
        sink.begin_run(make_run("torn", source="infer"))
        for part in range(3):
            names = [f"{part}-{i}" for i in range(16)]
            rows = [(i, p, layer, int(rng.integers(3)), 0, True, 1.0, 0.5, 1.0, 0.5, 0)
                    for i in range(16) for p in range(6) for layer in (0, 1)]  # fmt: skip
            sink.append([make_request(n, 6, domain="ab"[i % 2]) for i, n in enumerate(names)], make_batch(rows))
            sink.flush()
    victim = sorted((tmp_path / "store").rglob("segments/**/*.parquet"))[0]
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:-8] + b"damaged!")
    at = run(open_page(tmp_path / "store", "fairness_audit", group="domain"))
    assert at.title[0].value == "AUDIT NOT VALID"
    assert "1 batch with 192 decisions is left out as damaged: run `routelens verify`" in sentences(at)


def test_only_dense_requests_are_no_audit(open_page: Open, tmp_path: Path) -> None:
    """Nothing was routed: the page says how to record something."""
    create_store(tmp_path / "empty")
    at = open_page(tmp_path / "empty", "fairness_audit")
    assert not at.exception
    assert any("routelens infer" in code.value for code in at.code)

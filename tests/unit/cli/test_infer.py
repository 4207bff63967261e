"""`routelens infer`, `embed`, `query`, `verify`: the contract, end to end, on the shipped model."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.unit.cli.conftest import Command, assert_refused, document

TEXT = "The parcel never arrived and nobody answers."


def test_what_infer_announces_is_what_the_log_holds(routelens: Command, store: Path) -> None:
    """The keys of the contract; the query counts exactly the announced decisions; verify says ok."""
    out = document(routelens("infer", TEXT, "--budget", 0.35, "--json", "--store", store))
    assert {"run_id", "requests", "totals"} <= set(out)
    request = out["requests"][0]
    assert {"request_id", "label", "score", "n_tokens", "active_fraction", "flops", "flops_dense", "latency_ms"} <= set(
        request
    )
    assert request["label"] == "negative"
    assert 0 < request["flops"] < request["flops_dense"]
    counted = document(routelens("query", "select count(*) from decisions", "--json", "--store", store))
    assert counted["rows"] == [[out["totals"]["decisions"]]]
    assert request["decisions"] == out["totals"]["decisions"]
    report = document(routelens("verify", "--json", "--store", store))
    assert (report["ok"], report["segments"], report["decisions"]) == (True, 1, request["decisions"])
    assert report["errors"] == report["notes"] == []


def test_relations_have_the_columns_of_the_contract(routelens: Command, store: Path) -> None:
    """Names and order are public; keys are texts; layers, experts, positions and ranks count from 0."""
    out = document(routelens("infer", TEXT, "Fine.", "--json", "--store", store))
    expected = {
        "runs": "run_id started_at source model model_sha256 n_layers n_experts mode budget config software "
        "quality_card",
        "requests": "run_id request_id started_at latency_ms n_tokens domain attributes text text_hash label score "
        "reference_label active_fraction flops flops_dense budget mode actor",
        "tokens": "run_id request_id position token_id is_special",
        "decisions": "run_id request_id position token_id layer expert_id rank selected logit prob gate_weight margin "
        "flags",
    }
    for relation, names in expected.items():
        assert (
            document(routelens("query", f"select * from {relation}", "--json", "--store", store))["columns"]
            == names.split()
        )
    sql = (
        "select min(layer), max(layer), min(expert_id), max(expert_id), min(position), min(rank), "
        "any_value(run_id) from decisions"
    )
    row = document(routelens("query", sql, "--json", "--store", store))["rows"][0]
    assert row[:2] == [0, 5]
    assert 0 <= row[2] <= row[3] <= 15
    assert row[4:] == [0, 0, out["run_id"]]


def test_each_layer_and_token_has_one_best_loser_and_at_least_one_winner(routelens: Command, store: Path) -> None:
    """One row per executed expert plus one for the best that did not run; margins agree with `selected`."""
    document(routelens("infer", TEXT, "--budget", 0.35, "--json", "--store", store))
    sql = (
        "select count(*) filter (not selected) as losers, count(*) filter (selected) as winners, "
        "count(*) as rows, max(margin) filter (not selected) as worst from decisions group by position, layer"
    )
    for losers, winners, rows, worst in document(routelens("query", sql, "--json", "--store", store))["rows"]:
        assert winners >= 1
        assert losers == (1 if winners < 16 else 0)
        assert rows == losers + winners
        assert worst is None or worst <= 0.001


def test_dense_mode_logs_the_request_and_no_decision(routelens: Command, store: Path) -> None:
    """The untouched original has no experts: it costs exactly the dense operations."""
    out = document(routelens("infer", TEXT, "--mode", "dense", "--json", "--store", store))
    assert out["requests"][0]["flops"] == out["requests"][0]["flops_dense"]
    assert out["totals"]["decisions"] == 0
    sql = "select mode, budget, label from requests"
    rows = document(routelens("query", sql, "--json", "--store", store))["rows"]
    assert rows == [["dense", None, "negative"]]


def test_attributes_domain_label_and_text_arrive_in_the_log(routelens: Command, store: Path, tmp_path: Path) -> None:
    """What --attr and --domain name is kept beside the request; ids are the same in JSON and SQL."""
    path = tmp_path / "a.jsonl"
    rows = [{"id": i, "text": f"Good thing number {i}", "label": "positive", "area": "x", "sex": "f"} for i in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("infer", "--file", path, "--attr", "sex", "--domain", "area", "--json", "--store", store)
    out = document(routelens(*words))
    sql = (
        "select request_id, domain, attributes['sex'], attributes['id'], reference_label, text "
        "from requests order by request_id"
    )
    found = document(routelens("query", sql, "--json", "--store", store))["rows"]
    assert [row[0] for row in found] == [request["request_id"] for request in out["requests"]]
    assert [row[1:] for row in found] == [["x", "f", str(i), "positive", f"Good thing number {i}"] for i in range(3)]


def test_no_log_writes_nothing(routelens: Command, store: Path) -> None:
    """--no-log answers and leaves no trace."""
    assert document(routelens("infer", TEXT, "--no-log", "--json", "--store", store))["totals"]["logged"] is False
    assert not store.exists()


def test_a_run_that_need_not_wait_records_what_fits(routelens: Command, store: Path) -> None:
    """Two texts fit in any queue: all is recorded, and the counts of what is not say 0."""
    out = document(routelens("infer", TEXT, "Fine.", "--when-log-is-full", "incomplete", "--json", "--store", store))
    assert out["totals"]["unrecorded"] == {"requests": 0, "tokens": 0, "decisions": 0}
    report = document(routelens("verify", "--json", "--store", store))
    assert (report["decisions"], report["incomplete"]) == (out["totals"]["decisions"], [])


def test_embeddings_come_in_file_order_with_length_one(routelens: Command, tmp_path: Path) -> None:
    """(N, 384) float32; the longest text first in the file stays first."""
    path, out = tmp_path / "a.txt", tmp_path / "a.npy"
    path.write_text("a much longer first line of text than the others have\nshort\nmiddle sized line\n")
    result = document(routelens("embed", "--file", path, "--out", out, "--budget", 0.5, "--json"))
    array = np.load(out, allow_pickle=False)
    assert array.shape == (3, 384)
    assert array.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(array, axis=1), 1, rtol=1e-5)
    assert result["n"] == 3
    single = tmp_path / "b.npy"
    path.write_text("short\n")
    document(routelens("embed", "--file", path, "--out", single, "--budget", 0.5, "--json"))
    np.testing.assert_allclose(np.load(single, allow_pickle=False)[0], array[1], atol=1e-5)


def count(routelens: Command, store: Path, sql: str) -> object:
    """The one value of a query."""
    return document(routelens("query", sql, "--json", "--store", store))["rows"][0][0]


def test_doubtful_answers_are_run_again_and_no_key_occurs_twice(
    routelens: Command, store: Path, tmp_path: Path
) -> None:
    """More than one batch, some of it in doubt: the JSON names both answers, the log holds both passes under keys of
    their own, its counts are those of the JSON, and the store verifies."""
    path = tmp_path / "a.txt"
    path.write_text("".join(f"{text} {i}\n" for i in range(100) for text in (TEXT, "It is fine, I think.", "Not bad.")))
    words = ("infer", "--file", path, "--budget", 0.35, "--escalate-below", 0.5, "--json", "--store", store)
    out = document(routelens(*words))
    totals, again = out["totals"], [r for r in out["requests"] if r["escalated"]]
    assert 0 < totals["escalated"] == len(again) < 300
    assert all(r["flops"] > r["flops_dense"] for r in again)  # a dense pass on top
    for request in out["requests"]:
        if not request["escalated"]:
            assert (request["first_label"], request["first_score"]) == (request["label"], request["score"])
            assert request["escalation_request_id"] is None
    key = "(run_id, request_id, position, layer, expert_id)"
    assert count(routelens, store, "select count(*) from decisions") == totals["decisions"]
    assert count(routelens, store, f"select count(distinct {key}) from decisions") == totals["decisions"]
    assert count(routelens, store, "select count(distinct request_id) from requests") == 300 + len(again)
    companion = f"where run_id = '{totals['escalation_run_id']}'"
    sql = f"select request_id, label, attributes['escalated_from'] from requests {companion}"
    logged = {row[0]: row[1:] for row in document(routelens("query", sql, "--json", "--store", store))["rows"]}
    assert logged == {r["escalation_request_id"]: [r["label"], r["request_id"]] for r in again}
    assert count(routelens, store, f"select config->>'$.escalates' from runs {companion}") == out["run_id"]
    assert document(routelens("verify", "--json", "--store", store))["ok"] is True


def test_a_policy_file_says_how_to_run(routelens: Command, store: Path, tmp_path: Path) -> None:
    """Thresholds per layer, a lost expert, another one named beside it, and an attribute that asks for a second pass,
    whose column is kept without --attr."""
    policy, rows = tmp_path / "policy.toml", tmp_path / "a.csv"
    policy.write_text(
        'format = 1\nthresholds = [0.0, 0.1, 0.1, 0.1, 0.1, 0.1]\nunavailable = ["0:5"]\n'
        '[escalation]\nimportant = "vip"\n'
    )
    rows.write_text(f"text,vip\n{TEXT},yes\n{TEXT},no\n")
    words = ("infer", "--policy", policy, "--without", "1:2", "--file", rows, "--json", "--store", store)
    out = document(routelens(*words))
    assert out["budget"] is None
    assert [request["escalated"] for request in out["requests"]] == [True, False]
    ran = f"from decisions where run_id = '{out['run_id']}' and selected"
    assert count(routelens, store, f"select count(distinct expert_id) {ran} and layer = 0") == 15
    assert count(routelens, store, f"select count(*) {ran} and (layer, expert_id) in ((0, 5), (1, 2))") == 0
    sql = f"select config->'$.unavailable' from runs where run_id = '{out['run_id']}'"
    assert count(routelens, store, sql) == '["0:5","1:2"]'
    assert count(routelens, store, "select count(*) from requests where attributes['vip'] = 'no'") == 1


def test_losing_an_expert_in_top_k_shows_as_failover(routelens: Command, store: Path) -> None:
    """At k = 4 the flag `failover` (2) is on executed decisions of the layer that lost somebody, and only there."""
    lost = [word for expert in range(4) for word in ("--without", f"2:{expert}")]
    words = ("infer", TEXT, "--mode", "topk", "--budget", 0.25, *lost, "--json", "--store", store)
    out = document(routelens(*words))
    n_tokens = out["requests"][0]["n_tokens"]
    assert out["requests"][0]["active_fraction"] == 0.25
    assert count(routelens, store, "select count(*) from decisions where selected and layer = 2") == 4 * n_tokens
    assert count(routelens, store, "select count(*) from decisions where flags & 2 > 0 and layer = 2 and selected") > 0
    assert count(routelens, store, "select count(*) from decisions where flags & 2 > 0 and layer <> 2") == 0


@pytest.fixture
def measured_model(tmp_path: Path) -> Path:
    """The reference model by links, with an evaluation of its own: 0.5 and 0.35 were measured for sentiment."""
    from moe_core.model.checkpoint import folder_sha256
    from moe_core.model.folder import REFERENCE_FOLDER

    folder = tmp_path / "measured"
    for path in REFERENCE_FOLDER.rglob("*"):
        if path.is_file() and path.name != "evaluation.json":
            link = folder / path.relative_to(REFERENCE_FOLDER)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    points = [{"rule": "adaptive", "budget": b, "delta_points": d, "delta_low": d - 0.3, "delta_high": d + 0.3}
              for b, d in ((0.5, -0.1), (0.35, -0.4))]  # fmt: skip
    task = {"name": "sentiment", "kind": "shipped", "n": 1234, "points": points}
    document = {"format": 1, "model_sha256": folder_sha256(folder), "tasks": [task]}
    (folder / "evaluation.json").write_text(json.dumps(document))
    return folder


def test_budget_auto_takes_the_smallest_within_the_bound_and_says_why(
    routelens: Command, store: Path, measured_model: Path
) -> None:
    """0.5 may lose 0.4 points, 0.35 may lose 0.7: the default bound of 0.5 takes 0.5, a bound of 1 takes 0.35."""
    words = ("infer", TEXT, "--budget", "auto", "--json", "--store", store, "--model", measured_model)
    result = routelens(*words)
    out = document(result)
    assert out["budget"] == 0.5
    assert out["budget_choice"]["n"] == 1234
    assert "budget auto: 0.5" in result.stderr
    assert "n = 1,234" in result.stderr
    assert document(routelens(*words, "--max-loss", 1))["budget"] == 0.35
    sql = "select config->'$.budget_choice.budget' from runs order by started_at limit 1"
    assert count(routelens, store, sql) == "0.5"
    assert_refused(routelens(*words, "--max-loss", 0.2), "at most 0.2 points")


def test_embeddings_follow_a_policy(routelens: Command, tmp_path: Path) -> None:
    """The policy's budget gives the rows of the same --budget."""
    path, policy = tmp_path / "a.txt", tmp_path / "p.toml"
    path.write_text("one line\nanother one\n")
    policy.write_text("format = 1\nbudget = 0.35\n")
    for name, words in (("a.npy", ("--policy", policy)), ("b.npy", ("--budget", 0.35))):
        document(routelens("embed", "--file", path, "--out", tmp_path / name, *words, "--json"))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


def bad_calls(tmp_path: Path) -> list[tuple[list[object], tuple[str, ...]]]:
    files = {
        "latin.txt": "caf\xe9\n".encode("latin-1"),
        "nocolumn.csv": b"a,b\n1,2\n",
        "plain.xyz": b"hello\n",
        "empty.txt": b"",
        "broken.jsonl": b'{"text": "a"}\n{"text":\n',
        "blank.csv": b'text\n"  "\n',
        "big.txt": b"word " * 210_000,
        "typo.toml": b"format = 1\nbugdet = 0.5\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    poisoned = tmp_path / "model"
    poisoned.mkdir()
    (poisoned / "weights.pkl").write_bytes(b"\x80\x04.")
    at = lambda name: tmp_path / name  # noqa: E731
    return [
        (["infer", ""], ("Text 1", "empty")),
        (["infer", "  \n\t "], ("Text 1", "empty")),
        (["infer", "ok", " "], ("Text 2", "empty")),
        (["infer", "\u200b\u202e"], ("Text 1",)),
        (["infer"], ("no text",)),
        (["infer", "a", "--budget", "0"], ("Budget 0", "above 0")),
        (["infer", "a", "--budget", "2"], ("Budget 2",)),
        (["infer", "a", "--budget", "nan"], ("Budget nan",)),
        (["infer", "a", "--budget", "-0.5"], ("Budget -0.5",)),
        (["infer", "a", "--budget", "0.0001"], ("smallest share",)),
        (["infer", "a", "--mode", "sparse"], ("'sparse'", "adaptive")),
        (["infer", "a", "--head", "nope"], ("'nope'", "sentiment")),
        (["infer", "a", "--model", at("nowhere")], ("no model folder",)),
        (["infer", "a", "--model", poisoned], ("weights.pkl", "pickle", "remove")),
        (["infer", "--file", at("latin.txt")], ("line 1", "UTF-8")),
        (["infer", "--file", at("nocolumn.csv")], ("'text'", "a, b")),
        (["infer", "--file", at("plain.xyz")], (".xyz",)),
        (["infer", "--file", at("empty.txt")], ("no text",)),
        (["infer", "--file", at("broken.jsonl")], ("line 2", "JSON")),
        (["infer", "--file", at("blank.csv")], ("line 2",)),
        (["infer", "--file", at("big.txt")], ("1,050,000 characters", "split")),
        (["infer", "--file", at("missing.txt")], ("no file",)),
        (["infer", "many words " * 400], ("tokens", "split")),
        (["infer", "a", "--budget", "half"], ("Budget 'half' is not a number", "auto")),
        (["infer", "a", "--without", "9:9"], ("no expert 9:9", "layers 0 to 5")),
        (["infer", "a", "--policy", at("typo.toml")], ("typo.toml", "'bugdet'", "'budget'")),
        (["infer", "a", "--policy", at("typo.toml"), "--budget", "0.5"], ("--policy", "--budget", "one of them")),
        (["infer", "a", "--when-log-is-full", "drop"], ("--when-log-is-full drop", "wait, incomplete")),
        (["infer", "a", "--no-log", "--when-log-is-full", "incomplete"], ("--no-log", "leave one of them out")),
        (["embed", "--file", at("latin.txt"), "--out", at("x.npy")], ("UTF-8",)),
        (["query", "delete from decisions", "--store", at("none")], ("none",)),
        (["verify", "--store", at("none")], ("none",)),
        (["index", "--store", at("none")], ("none",)),
        (["train", at("missing.toml")], ("missing.toml",)),
        (["head", "train", "--name", "../x", "--file", at("nocolumn.csv")], ("../x",)),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(35))
def test_bad_input_ends_in_one_clear_sentence(routelens: Command, tmp_path: Path, number: int) -> None:
    """Exit code 2, one line that says what and where, no traceback, nothing written to the log."""
    words, expected = bad_calls(tmp_path)[number]
    store = tmp_path / "store"
    extra = [] if "--store" in words or words[0] in ("embed", "train", "head") else ["--store", store]
    assert_refused(routelens(*words, *extra), *expected)
    assert not store.exists()


def test_the_table_of_bad_calls_is_complete(tmp_path: Path) -> None:
    """Every row of the table is tried."""
    assert len(bad_calls(tmp_path)) == 35


def test_standard_input_and_hostile_text_are_data(routelens: Command, store: Path) -> None:
    """HTML, bidi and control characters, SQL: stored as they came, never run, escaped on a terminal."""
    texts = ["<img src=x onerror=alert(1)>", "a'); drop table decisions; --", "left \u202eright", "bell \x07 rings"]
    shown = routelens("infer", "--file", "-", "--store", store, stdin="\n".join(texts))
    assert shown.returncode == 0, shown.stderr
    assert "\x07" not in shown.stdout
    assert "\u202e" not in shown.stdout
    rows = document(routelens("query", "select text from requests order by request_id", "--json", "--store", store))[
        "rows"
    ]
    assert [row[0] for row in rows] == texts


def test_kill_minus_nine_in_a_loop_loses_nothing_that_was_acknowledged(tmp_path: Path, store: Path) -> None:
    """Ten kills at random moments: verify stays ok, and every batch that stderr acknowledged is found."""
    from moe_core.log.verify import verify_store

    path = tmp_path / "many.txt"
    path.write_text("".join(f"Request number {i} was late again, please call back.\n" for i in range(6000)))
    acknowledged: dict[str, int] = {}
    rng = np.random.default_rng(5)
    for _ in range(10):
        with subprocess.Popen(
            [sys.executable, "-m", "moe_core", "infer", "--file", str(path), "--store", str(store)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        ) as process:  # fmt: skip
            assert process.stderr is not None
            first = process.stderr.readline()
            time.sleep(float(rng.uniform(0, 0.8)))
            process.send_signal(signal.SIGKILL)
            for line in [first, *process.stderr.readlines()]:
                if line.endswith("acknowledged\n"):
                    run_id, _, rest = line.partition(": ")
                    acknowledged[run_id] = int(rest.split()[0])
    report = verify_store(store)
    assert report.ok, report.errors
    from moe_core.log.console import run_select

    found = dict(run_select(store, "select run_id, count(*) from requests group by run_id").rows)
    assert len(acknowledged) == 10
    for run_id, count in acknowledged.items():
        assert found[run_id] >= count
    sql = (
        "select count(*) from requests r "
        "where n_tokens <> (select count(*) from tokens t where t.request_id = r.request_id)"
    )
    assert run_select(store, sql).rows == [[0]]

"""`routelens specialization`: on runs that came in through `import`, with and without domains, words and texts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from moe_core.model.folder import REFERENCE_FOLDER
from tests.unit.cli.conftest import Command, assert_refused, document
from tests.unit.cli.specialized_texts import DOMAINS, sentences, write_run


def described(routelens: Command, tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """Imports a run of 400 texts, one token a word, and describes it."""
    rng = np.random.default_rng(7)
    texts, domains = sentences(rng, changes.pop("n", 400))
    words = [text.split() for text in texts]
    number_of = {word: i for i, word in enumerate(sorted({word for each in words for word in each}))}
    if changes.pop("reference", False):
        tokenizer = Tokenizer.from_file(str(REFERENCE_FOLDER / "tokenizer.json"))
        encoded = tokenizer.encode_batch(texts)
        ids, numbers = [e.ids for e in encoded], [[piece.isdigit() for piece in e.tokens] for e in encoded]
    else:
        ids = [[number_of[word] for word in each] for each in words]
        numbers = [[word.isdigit() for word in each] for each in words]
    changes.setdefault("domains", domains)
    folder = write_run(tmp_path / "made", rng, texts, ids, numbers, **changes)
    done = routelens("import", "parquet", folder, "--store", tmp_path / "store")
    assert done.returncode == 0, done.stderr
    return document(routelens("specialization", "--store", tmp_path / "store", "--json"))


def name_of(found: dict[str, Any], layer: int, expert: int) -> str:
    return next(e["name"] for e in found["experts"] if (e["layer"], e["expert_id"]) == (layer, expert))


@pytest.mark.parametrize("reference", [
    pytest.param(False, id="words learned from the texts"), pytest.param(True, id="the reference tokenizer fits"),
])  # fmt: skip
def test_a_planted_expert_for_digits_is_named(routelens: Command, tmp_path: Path, reference: bool) -> None:
    """The run's model is of another name, so where the words come from is found out from the texts."""
    found = described(routelens, tmp_path, number_expert=(1, 5), domain_expert=(0, 3), reference=reference)
    assert found["sample"]["words_from"] == ("tokenizer" if reference else "texts")
    assert name_of(found, 1, 5).startswith("runs for numbers: ")
    assert name_of(found, 0, 3).startswith("runs for texts of “harbour”: ")
    row = next(r for r in found["tokens"] if (r["kind"], r["value"], r["expert_id"]) == ("class", "number", 5))
    assert (row["called"], row["replicated"]) == (True, True)
    assert row["interval"][0] < row["lift"] < row["interval"][1]
    assert row["held_out"]["interval"][0] > 1.25
    assert row["chance"][1] < row["lift"]
    texts, _ = sentences(np.random.default_rng(7), 400)
    assert row["n"] == sum(word.isdigit() for text in texts for word in text.split())
    domain = next(r for r in found["domains"] if (r["value"], r["layer"], r["expert_id"]) == (DOMAINS[0], 0, 3))
    assert domain["called"]
    assert {"run_id", "domains", "tokens", "partners", "agreement", "clusters"} <= set(found)
    assert len(found["domains"]) == 3 * 2 * 8


def test_without_planted_experts_nothing_is_called(routelens: Command, tmp_path: Path) -> None:
    """A normal result, with the number of tests beside it."""
    found = described(routelens, tmp_path)
    assert found["called"] == 0
    assert found["finding"].startswith("No specialization found (n = 400 documents")
    assert found["tested"] > 100


def test_without_domains_and_texts_token_numbers_are_told(routelens: Command, tmp_path: Path) -> None:
    """Neither a domain nor a word, but the frequent token ids of the planted expert are found."""
    found = described(routelens, tmp_path, domains=None, with_text=False, number_expert=(1, 5))
    assert found["domains"] == []
    assert found["sample"]["words_from"] is None
    assert {row["kind"] for row in found["tokens"]} <= {"token", "position", "decile"}
    assert len(found["notes"]) == 2


def test_a_large_model_is_described(routelens: Command, tmp_path: Path) -> None:
    """12 layers of 64 experts, top 4: the planted ones are found among 768."""
    found = described(
        routelens, tmp_path, n=250, n_layers=12, n_experts=64, k=4, number_expert=(7, 41), domain_expert=(2, 9)
    )
    assert name_of(found, 7, 41).startswith("runs for numbers: ")
    assert name_of(found, 2, 9).startswith("runs for texts of “harbour”: ")


def test_few_documents_are_a_clear_sentence(routelens: Command, tmp_path: Path) -> None:
    """6 texts: nothing is tested, and the lines say so."""
    found = described(routelens, tmp_path, n=6)
    assert "Too few documents" in found["finding"]
    lines = routelens("specialization", "--store", tmp_path / "store").stdout
    assert "Record more requests" in lines


def test_unknown_runs_and_empty_stores_are_refused(routelens: Command, tmp_path: Path) -> None:
    """One sentence, exit code 2."""
    described(routelens, tmp_path, n=6)
    unknown = routelens("specialization", "--store", tmp_path / "store", "--run", "nobody")
    assert_refused(unknown, "holds no run 'nobody'")
    assert_refused(routelens("specialization", "--store", tmp_path / "nowhere"), "nowhere")

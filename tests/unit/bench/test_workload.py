"""The texts: always the same, in range, and in the caller's order."""

from pathlib import Path

import pytest
import torch

from moe_core.bench.variants import Variant, chunks
from moe_core.bench.workload import REGIMES, fit, groups, load_workload
from moe_core.errors import InputError
from moe_core.model.encoder import Encoder
from moe_core.model.folder import REFERENCE_FOLDER
from moe_core.model.tokens import TextTokenizer


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer(REFERENCE_FOLDER / "tokenizer.json", 512)


def test_the_bundled_texts_fill_every_regime(tokenizer: TextTokenizer) -> None:
    """8 to 30 and 80 to 120 tokens, 32 and 256 texts, the same in every run."""
    work = load_workload(tokenizer)
    assert set(work.batches) == set(REGIMES)
    assert all(len(batch) == 1 and 8 <= len(batch[0]) <= 30 for batch in work.batches["one"])
    assert all(len(batch) == 1 and 80 <= len(batch[0]) <= 120 for batch in work.batches["one-long"])
    assert len(work.batches["one"]) >= 50
    assert {len(batch) for batch in work.batches["batch32"]} == {32}
    assert [len(batch) for batch in work.batches["batch256"]] == [256]
    assert work == load_workload(tokenizer)


def test_texts_out_of_range_are_joined_and_cut() -> None:
    """First and last token stay the special ones (1 and 2)."""
    made = fit([[1, 7, 8, 2], [1, 9, 2], [1, 5, 5, 5, 5, 5, 2]], 5, 6)
    assert made == [[1, 7, 8, 9, 2], [1, 5, 5, 5, 5, 2]]
    assert fit([[1, 7, 8, 2]], 4, 6) == [[1, 7, 8, 2]]


def test_too_few_texts_are_repeated() -> None:
    """A small file still fills one batch."""
    assert groups([[1], [2]], 3) == [[[1], [2], [1]]]
    assert groups([[1], [2], [3]], 2) == [[[1], [2]]]


def test_missing_texts_are_named(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    """One sentence says what to restore."""
    with pytest.raises(InputError, match=r"There is no file .*absent\.jsonl"):
        load_workload(tokenizer, tmp_path / "absent.jsonl")


def test_a_batch_in_parts_keeps_the_callers_order(tiny_dense: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Embeddings of a batch that is cut into parts are those of its texts one by one."""
    monkeypatch.setattr("moe_core.bench.variants.BATCH_TOKENS", 7)
    batch = [[1, 2, 3, 4], [5], [6, 7, 8, 9, 10], [11, 12]]
    assert sorted(i for part in chunks(batch, 7) for i in part) == [0, 1, 2, 3]
    variant = Variant(name="dense", encoder=tiny_dense)
    alone = torch.cat([variant.embed([text]) for text in batch])
    torch.testing.assert_close(variant.embed(batch), alone, atol=1e-5, rtol=1e-5)

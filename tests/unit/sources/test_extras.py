"""Local files that are added to the corpus."""

import gzip
import lzma
from pathlib import Path

import pytest

from moe_core.errors import ConfigError, SourceError
from moe_core.sources.extras import Extra, load_extras, read_extra, values_at


def test_json_lines_are_read_from_any_compression(tmp_path: Path) -> None:
    """Plain, gzip and xz files give the same documents, one per record."""
    body = b'{"text": "One here."}\n\n{"text": "Two here."}\n'
    for name, data in (
        ("a.jsonl", body),
        ("a.jsonl.gz", gzip.compress(body)),
        ("a.jsonl.xz", lzma.compress(body)),
    ):
        (tmp_path / name).write_bytes(data)
        found = list(read_extra(Extra(path=tmp_path / name, domain="d", source="s")))
        assert [document.blocks for document in found] == [["One here."], ["Two here."]]


def test_a_key_reaches_into_lists_and_records() -> None:
    """`*` takes every item, a number one item; what is missing gives nothing."""
    record = {"turns": [["U", "Hello."], ["S", "Yes?"]], "n": 3}
    assert values_at(record, "turns.*.1") == ["Hello.", "Yes?"]
    assert values_at(record, "turns.0.0") == ["U"]
    assert values_at(record, "turns.*.9") == values_at(record, "absent") == values_at(record, "n") == []


def test_worked_maths_loses_its_calculator_marks(tmp_path: Path) -> None:
    """Marks such as <<48/2=24>> vanish, and the result is put into words."""
    path = tmp_path / "m.jsonl"
    path.write_text('{"answer": "48/2 = <<48/2=24>>24 clips.\\n#### 24"}\n', encoding="utf-8")
    document = next(read_extra(Extra(path=path, domain="m", source="s", keys=("answer",))))
    assert document.blocks == ["48/2 = 24 clips.", "The answer is 24"]


def test_a_book_becomes_documents_of_60_paragraphs(tmp_path: Path) -> None:
    """A long text can be held out in parts; credit lines are dropped."""
    path = tmp_path / "book.txt"
    body = "\n\n".join(f"Paragraph {number}." for number in range(130))
    path.write_text("Produced by somebody.\n\n" + body, encoding="utf-8")
    documents = list(read_extra(Extra(path=path, domain="prose", source="s")))
    assert [len(document.blocks) for document in documents] == [60, 60, 10]
    assert len({document.doc for document in documents}) == 3


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"x", "neither .jsonl nor .txt"),
        ("a.jsonl", b"{broken\n", "cannot be read"),
        ("a.txt.xz", b"not xz", "cannot be read"),
        ("absent.txt", None, "cannot be read"),
    ],
)
def test_an_unusable_file_is_named(name: str, data: bytes | None, message: str, tmp_path: Path) -> None:
    """A missing, broken or unknown file gives one sentence with its path."""
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError, match=message) as caught:
        list(read_extra(Extra(path=tmp_path / name, domain="d", source="s")))
    assert name in str(caught.value)


def test_a_list_of_files_is_read_from_toml(tmp_path: Path) -> None:
    """Paths are relative to the list, and a wildcard takes every match in order."""
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text("Text.", encoding="utf-8")
    listing = tmp_path / "extras.toml"
    listing.write_text(
        '[[extra]]\npath = "*.txt"\ndomain = "prose"\nsource = "mine"\nstyle = "whole"\n',
        encoding="utf-8",
    )
    extras = load_extras(listing)
    assert [extra.path.name for extra in extras] == ["a.txt", "b.txt"]
    assert {extra.style for extra in extras} == {"whole"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('[[extra]]\npath = "a.txt"\n', "domain"),
        ('[[extra]]\npath = "a"\ndomain = "d"\nsource = "s"\ncolour = 1\n', "colour"),
        ('[[extra]]\npath = "a"\ndomain = "d"\nsource = "s"\nstyle = "loud"\n', "'loud'"),
        ("[[extra", "cannot be read"),
    ],
)
def test_a_wrong_list_is_explained(body: str, message: str, tmp_path: Path) -> None:
    """A missing key, an unknown key and an unknown style are named."""
    listing = tmp_path / "extras.toml"
    listing.write_text(body, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_extras(listing)


def test_the_shipped_list_is_empty() -> None:
    """The example file of the project can be read as it is and adds nothing."""
    shipped = Path(__file__).parents[3] / "data" / "configs" / "corpus_extras.toml"
    assert load_extras(shipped) == []

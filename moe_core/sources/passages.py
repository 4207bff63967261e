"""From blocks of clean text to short English texts of 3 to 80 words.

Where a length is chosen, a hash of the text chooses it: the same input always gives the same
texts, on every machine.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Literal

MIN_WORDS = 3
MAX_WORDS = 80

Style = Literal["prose", "whole", "words"]

_SPACE = re.compile(r"\s+")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]\u201d\u2019]*\s+(?=[\"'(\[\u201c\u2018]?[A-Z0-9])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|Rev|Gen|Col|Capt|Lt|Sgt|Jr|Sr|Inc|Co|Corp|Ltd|No|Vol|Fig|Sec|"
    r"Art|vs|cf|etc|approx|Jan|Feb|Mar|Apr|Aug|Sept|Oct|Nov|Dec|U\.S|U\.K|op|pp|p|v|e\.g|i\.e)"
    r"|\b[A-Z]|^\(?\d{1,3})\.$"
)
_CLAUSE_END = re.compile(r"(?<=[;:,])\s+")
_CODE = re.compile(r"[{}<>\\|=]{2,}|[;{}]\s*$|\w+\(\w*\)\s*;|^[#$>]\s|^\s*[-+*/=_.~]{4,}|::\w|/\w+/\w+/\w+/")
_WORD = re.compile(r"[A-Za-z']+")
_STOP_WORDS = frozenset(
    _WORD.findall(
        "the a an of to in and is are was were be been it its he she they we you i that this these "
        "those for on with as at by from or not no but if so do does did have has had can could "
        "will would should may might must my your his her our their me him them us what which who when "
        "where how why there here all any one u ur im dont"
    )
)
_GROUP_SIZES = (1, 1, 1, 1, 1, 1, 2, 2, 3, 4)
_WINDOW_WORDS = (5, 8, 11, 14, 18, 22, 28, 36, 48, 64)


def stable_number(text: str) -> int:
    """Return a number from 0 to 2**64 - 1 that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big")


def normalise(text: str) -> str:
    """Return the form in which two texts are compared: NFKC, lower case, single spaces."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text)).strip().casefold()


def tidy(text: str) -> str:
    """Return the text with plain quotes and single spaces, without control characters."""
    text = unicodedata.normalize("NFC", text)
    for odd, plain in (
        ("\u201c", '"'),
        ("\u201d", '"'),
        ("\u2018", "'"),
        ("\u2019", "'"),
        ("\xad", ""),
    ):
        text = text.replace(odd, plain)
    text = re.sub(r"``|''", '"', text)
    text = "".join(character if character.isprintable() or character.isspace() else " " for character in text)
    return _SPACE.sub(" ", text).strip()


def is_english_text(text: str) -> bool:
    """Whether a text looks like English words rather than code, a table or another language."""
    visible = text.replace(" ", "")
    if not visible or "\ufffd" in text:
        return False
    letters = sum(character.isalpha() and character.isascii() for character in visible)
    digits = sum(character.isdigit() for character in visible)
    if letters < 0.45 * len(visible) or letters + digits < 0.7 * len(visible):
        return False
    if _CODE.search(text):
        return False
    if sum(ord(character) > 0x24F and character.isalpha() for character in visible) > 2:
        return False
    words = _WORD.findall(text.casefold())
    if len(words) >= 8:
        stops = sum(word in _STOP_WORDS for word in words)
        if stops < max(1, len(words) // 16):
            return False
    return max((len(word) for word in text.split()), default=0) <= 40


def sentences(paragraph: str) -> list[str]:
    """Split a paragraph into sentences; common abbreviations do not end one."""
    found: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(paragraph):
        end = match.start() + len(match.group().rstrip())
        piece = paragraph[start:end].strip()
        last_word = piece.rpartition(" ")[2]
        if _ABBREVIATION.search(last_word):
            continue
        found.append(piece)
        start = match.end()
    found.append(paragraph[start:].strip())
    return [piece for piece in found if piece]


def cut(blocks: Iterable[str], style: Style) -> Iterator[str]:
    """Yield the texts of a document.

    Args:
        blocks: paragraphs (`prose`), complete short texts (`whole`), or running words without
            punctuation (`words`).
        style: `prose` gives sentences and groups of two to four sentences; `whole` keeps a block
            as it is unless it is too long; `words` cuts windows of 5 to 64 words.
    """
    for block in blocks:
        text = tidy(block)
        if style == "words":
            pieces: Iterable[str] = _windows(text)
        elif style == "whole" and len(text.split()) <= MAX_WORDS:
            pieces = (text,)
        else:
            pieces = _groups(text)
        for piece in pieces:
            words = len(piece.split())
            if MIN_WORDS <= words <= MAX_WORDS and is_english_text(piece):
                yield piece


def _groups(paragraph: str) -> Iterator[str]:
    parts = [part for sentence in sentences(paragraph) for part in _shorten(sentence)]
    at = 0
    while at < len(parts):
        size = _GROUP_SIZES[stable_number(parts[at]) % len(_GROUP_SIZES)]
        group = parts[at : at + size]
        while len(group) > 1 and sum(len(part.split()) for part in group) > MAX_WORDS:
            group.pop()
        yield " ".join(group)
        at += len(group)


def _shorten(sentence: str) -> list[str]:
    """Cut a sentence of more than 80 words at its commas and semicolons, else by count."""
    if len(sentence.split()) <= MAX_WORDS:
        return [sentence]
    parts: list[str] = []
    current: list[str] = []
    for clause in _CLAUSE_END.split(sentence):
        words = clause.split()
        if current and len(current) + len(words) > MAX_WORDS // 2:
            parts.append(" ".join(current))
            current = []
        current.extend(words)
        while len(current) > MAX_WORDS:
            parts.append(" ".join(current[:MAX_WORDS]))
            current = current[MAX_WORDS:]
    return [*parts, " ".join(current)]


def _windows(text: str) -> Iterator[str]:
    words = text.split()
    at = 0
    while at < len(words):
        seed = stable_number(" ".join(words[at : at + 6]))
        size = _WINDOW_WORDS[seed % len(_WINDOW_WORDS)]
        yield " ".join(words[at : at + size])
        at += size

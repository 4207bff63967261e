"""A text as words to leave out: stretches between white space, or single tokens where a script writes no spaces."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from moe_core.analysis.counterfactual.alignment import Block, Span

_CHUNK = re.compile(r"\S+")
# Scripts written without spaces: Thai, Lao, Burmese, Khmer; kana, Han (with extensions), full-width kana
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f"
                       "\U00020000-\U0003ffff]")  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One unit to leave out or swap: characters [start, end) of the text, with its punctuation. `core`: the part
    without punctuation at its ends (empty for punctuation alone)."""

    text: str
    start: int
    end: int
    core: Span

    def holds(self, span: Span) -> bool:
        """Whether the characters of a token lie in it, in part or whole; never for an empty span."""
        return span[0] < span[1] and span[0] < self.end and self.start < span[1]


def words_of(text: str, spans_T: Sequence[Span], is_special: Sequence[bool]) -> list[Word]:
    """Words in order. A stretch without spaces that is written in a script without spaces, or that is the whole text,
    falls into its tokens; spans_T: characters of each token."""
    chunks = [(match.start(), match.end()) for match in _CHUNK.finditer(text)]
    tokens = [span for span, special in zip(spans_T, is_special, strict=True) if not special and span[0] < span[1]]
    units: list[Span] = []
    for start, end in chunks:
        inside = [span for span in tokens if start <= span[0] and span[1] <= end]
        alone = len(chunks) == 1 and len(inside) > 1
        units += inside if inside and (alone or _UNSPACED.search(text, start, end)) else [(start, end)]
    return [_word(text, span) for span in dict.fromkeys(units)]


def in_groups(text: str, words: Sequence[Word], size: int) -> list[Word]:
    """Runs of `size` neighbouring words, each as one unit; the last may be shorter."""
    runs = [words[i : i + size] for i in range(0, len(words), size)]
    return [_word(text, (run[0].start, run[-1].end)) for run in runs]


def without(text: str, word: Word) -> tuple[str, tuple[Block, ...]]:
    """The text without a word and without one of the spaces around it, and the stretches that are left, as
    (start before, start after, characters). The text is empty if nothing is left."""
    start, end = word.start, word.end
    if end < len(text) and text[end].isspace() and (start == 0 or text[start - 1].isspace()):
        end += 1
    elif end == len(text) and start > 0 and text[start - 1].isspace():
        start -= 1
    left = text[:start] + text[end:]
    return ("" if not left.strip() else left), kept(start, end, len(text), 0)


def replaced(text: str, word: Word, replacement: str) -> tuple[str, tuple[Block, ...]]:
    """The text with a word's core (all of it, if it is punctuation) replaced, and the stretches that stay."""
    start, end = word.core if word.core[0] < word.core[1] else (word.start, word.end)
    return text[:start] + replacement + text[end:], kept(start, end, len(text), len(replacement))


def kept(start: int, end: int, length: int, new: int) -> tuple[Block, ...]:
    """Stretches that stay where characters [start, end) give way to `new` others."""
    blocks = ((0, 0, start), (end, start + new, length - end))
    return tuple(block for block in blocks if block[2])


def _word(text: str, span: Span) -> Word:
    start, end = span
    while start < end and _is_mark(text[start]):
        start += 1
    while end > start and _is_mark(text[end - 1]):
        end -= 1
    return Word(text=text[slice(*span)], start=span[0], end=span[1], core=(start, end))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PSZC"

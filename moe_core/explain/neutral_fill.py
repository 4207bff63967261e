"""Neutral replacements of the same length: as many ordinary tokens as the replaced stretch has, so that no other token
changes its place."""

from collections.abc import Iterator, Sequence

from moe_core.explain.word_units import Word

# Ordinary words that say little; each must be one token of the model that reads them
SPACED = (
    "thing", "one", "part", "place", "side", "item", "point", "case", "kind", "way", "same", "other", "there", "then",
    "here", "set",
)  # fmt: skip
UNSPACED = ("の", "一", "人", "日", "中", "大", "上", "本", "間", "山", "月", "年")
MOST_EACH = 6
WANTED = 24  # neutral swaps at other places


def replacements(word: Word, tokens: int, fillers: Sequence[str], *, first: int, count: int) -> Iterator[str]:
    """Up to `count` different replacements of `tokens` fillers each, beginning with filler number `first`; fillers that
    the word holds itself are left out."""
    own = {part.casefold() for part in word.text.split()}
    usable = [filler for filler in fillers if filler.casefold() not in own]
    between = "" if usable and usable[0] in UNSPACED else " "
    for i in range(min(count, len(usable)) if tokens else 0):
        yield between.join(usable[(first + i + k) % len(usable)] for k in range(tokens))


def swaps_each(words: int) -> int:
    """Neutral swaps at each place: enough to have `WANTED` at all places but one."""
    return max(1, min(MOST_EACH, -(-WANTED // max(1, words - 1))))

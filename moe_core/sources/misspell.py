"""Texts as people also write them: typing errors, letters left out, figures for letters, words run together.

A training corpus of edited prose teaches nothing about them, and sparse settings lose most where text is unusual. The
changes are made to the letters, before tokenization, so that words break into the pieces that such words really have.
"""

import random
from collections.abc import Callable, Iterator

NEIGHBOURS = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo", "j": "hk",
    "k": "jl", "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "w", "r": "et", "s": "ad", "t": "ry",
    "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "x",
}  # fmt: skip
FIGURES = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7"}
SHORT = {
    "you": "u", "are": "r", "your": "ur", "please": "pls", "because": "cuz", "people": "ppl", "thanks": "thx",
    "to": "2", "for": "4", "and": "n", "with": "w/", "don't": "dont", "can't": "cant", "i'm": "im",
    "it's": "its", "what": "wat", "that": "dat", "going": "goin", "really": "rly", "great": "gr8", "see": "c",
}  # fmt: skip
FRAMES = (
    ('He said "', '"'), ('"', '", they told me.'), ("she was like, ", ""), ('Who says "', '" anyway?'),
    ("it's not true that ", ""), ("I don't think ", ""), ('Nobody should say "', '".'), ("not sure if ", ""),
    ("> ", ""),
)  # fmt: skip


def misspelt(text: str, rng: random.Random) -> str:
    """`text` with one to two kinds of disturbance; never empty if `text` is not."""
    for change in rng.sample(CHANGES, rng.choice((1, 1, 2))):
        text = change(text, rng) or text
    return text


def misspelt_texts(texts: list[str], n: int, seed: int) -> Iterator[str]:
    """`n` disturbed texts made of random ones of `texts`, the longest cut to their first 160 characters."""
    rng = random.Random(seed)  # noqa: S311 - training text, no secret
    for _ in range(n if texts else 0):
        text = rng.choice(texts)
        if len(text) > 160:
            text = text[:160].rsplit(" ", 1)[0]
        yield misspelt(text, rng)


def _words(text: str, rng: random.Random, share: float, change: Callable[[str], str]) -> str:
    words = text.split(" ")
    long = [i for i, word in enumerate(words) if sum(c.isalpha() for c in word) > 2]
    for i in rng.sample(long, max(1, round(share * len(long)))) if long else []:
        words[i] = change(words[i])
    return " ".join(words)


def _typing_errors(text: str, rng: random.Random) -> str:
    def change(word: str) -> str:
        i = rng.randrange(len(word))
        kind = rng.randrange(4)
        if kind == 0:
            return word[:i] + word[i + 1 :]
        if kind == 1:
            return word[:i] + word[i] + word[i:]
        if kind == 2 and i + 1 < len(word):
            return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
        return word[:i] + rng.choice(NEIGHBOURS.get(word[i].lower(), word[i])) + word[i + 1 :]

    return _words(text, rng, 0.3, change)


def _figures(text: str, rng: random.Random) -> str:
    return _words(text, rng, 0.3, lambda word: "".join(rng.choice(FIGURES.get(c.lower(), c)) for c in word))


def _short_forms(text: str, rng: random.Random) -> str:
    return " ".join(SHORT.get(word.lower(), word) for word in text.split(" "))


def _vowels_out(text: str, rng: random.Random) -> str:
    return _words(text, rng, 0.3, lambda word: word[0] + "".join(c for c in word[1:] if c.lower() not in "aeiou"))


def _stretched(text: str, rng: random.Random) -> str:
    def change(word: str) -> str:
        places = [i for i, c in enumerate(word) if c.lower() in "aeiouyslm"] or [len(word) - 1]
        i = rng.choice(places)
        return word[:i] + word[i] * rng.randint(3, 6) + word[i + 1 :]

    return _words(text, rng, 0.15, change)


def _spaced(text: str, rng: random.Random) -> str:
    return _words(text, rng, 0.12, lambda word: rng.choice((" ", ".", "-", "*")).join(word))


def _run_together(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    joined = words[0]
    for word in words[1:]:
        joined += word if rng.random() < 0.3 else " " + word
    return joined


def _starred(text: str, rng: random.Random) -> str:
    return _words(text, rng, 0.15, lambda word: word[0] + "*" * (len(word) - 2) + word[-1])


def _tagged(text: str, rng: random.Random) -> str:
    return _words(text, rng, 0.2, lambda word: "#" + word)


def _quoted(text: str, rng: random.Random) -> str:
    before, after = rng.choice(FRAMES)
    return before + text + after


CHANGES = (
    _typing_errors, _typing_errors, _figures, _short_forms, _vowels_out, _stretched, _spaced, _run_together, _starred,
    _tagged, _quoted, _quoted,
)  # fmt: skip

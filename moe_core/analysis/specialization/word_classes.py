"""What kind of word a token is, by simple rules over the pieces of a tokenizer.

WordPiece marks the continuation of a word with `##`; SentencePiece and byte-level BPE mark the start of one with `▁` or
`Ġ`. Which mark is in use is seen from the pieces themselves. Every token has one class and, if it is part of a word,
one place in it.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_core.analysis.message import N_

SPECIAL, NUMBER, PUNCTUATION, CJK, FUNCTION, UPPER, CAPITALISED, OTHER = (
    "special", "number", "punctuation", "cjk", "function", "upper", "capitalised", "word",
)  # fmt: skip
WHOLE, START, CONTINUATION = "whole", "start", "continuation"
CLASS_NAMES = {
    SPECIAL: N_("special tokens"),
    NUMBER: N_("numbers"),
    PUNCTUATION: N_("punctuation"),
    CJK: N_("Chinese and Japanese characters"),
    FUNCTION: N_("function words"),
    UPPER: N_("words in capitals"),
    CAPITALISED: N_("capitalised words"),
    OTHER: N_("other words"),
}
PIECE_NAMES = {
    WHOLE: N_("whole words"),
    START: N_("first pieces of split words"),
    CONTINUATION: N_("continuations of split words"),
}
_FUNCTION_WORDS = (
    "a an the this that these those and or but nor so if then than because while although though as of at by for "
    "with about against between into through during before after above below to from up down in out on off over "
    "under again further once here there when where why how all any both each few more most other some such no not "
    "only own same too very can will just should would could may might must shall do does did done doing have has "
    "had having be is am are was were been being i me my we us our you your he him his she her it its they them "
    "their what which who whom whose "
)
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
_WORD_STARTS = ("▁", "Ġ")
_WORDPIECE = "##"
_SPECIAL = re.compile(r"\[[A-Z_]+\d*\]|</?[a-z_]+>|<\|\w+\|>")  # [CLS], </s>, <|end|>


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """Token id -> piece, and how pieces say where a word starts. `source`: where the pieces come from."""

    pieces: Mapping[int, str]
    source: str
    mark: str | None  # "##": continues; "▁", "Ġ": starts; None: every token is a word

    @classmethod
    def of(cls, pieces: Mapping[int, str], source: str = "tokenizer") -> "Vocabulary":
        """Sees the mark from the pieces: one in twenty has it."""
        many = max(1, len(pieces) // 20)
        for mark in (_WORDPIECE, *_WORD_STARTS):
            if sum(piece.startswith(mark) and len(piece) > len(mark) for piece in pieces.values()) >= many:
                return cls(pieces=pieces, source=source, mark=mark)
        return cls(pieces=pieces, source=source, mark=None)

    def word(self, token_id: int) -> str:
        """The piece without its mark; empty where the id is not known."""
        piece = self.pieces.get(token_id, "")
        return piece[len(self.mark) :] if self.mark and piece.startswith(self.mark) else piece

    def starts_word(self, token_id: int) -> bool:
        """Whether this piece begins a word."""
        piece = self.pieces.get(token_id, "")
        if self.mark is None:
            return True
        return not piece.startswith(_WORDPIECE) if self.mark == _WORDPIECE else piece.startswith(self.mark)


def word_class(word: str, *, special: bool = False) -> str:
    """One of CLASS_NAMES. Signs inside a number (3.5, 1,000) belong to it."""
    if special or _SPECIAL.fullmatch(word):
        return SPECIAL
    if any(character.isnumeric() for character in word) and not any(character.isalpha() for character in word):
        return NUMBER
    if not any(character.isalnum() for character in word):
        return PUNCTUATION
    if any(_is_cjk(character) for character in word):
        return CJK
    if word.lower() in FUNCTION_WORDS:
        return FUNCTION
    if len(word) > 1 and word.isupper():
        return UPPER
    return CAPITALISED if word[:1].isupper() else OTHER


def classes_of(
    vocabulary: Vocabulary, token_id_T: NDArray[np.int64], is_special_T: NDArray[np.bool_]
) -> NDArray[np.object_]:
    """The class of each token; None where its piece is not known."""
    known = [int(token) for token in np.unique(token_id_T) if int(token) in vocabulary.pieces]
    class_of = {token: word_class(vocabulary.word(token)) for token in known}
    classes = np.array([class_of.get(int(token)) for token in token_id_T], object)
    classes[is_special_T] = SPECIAL
    return classes


def places_in_words(
    vocabulary: Vocabulary, classes_T: NDArray[np.object_], token_id_T: NDArray[np.int64], document_T: NDArray[np.int64]
) -> NDArray[np.object_]:
    """Whole word, first piece, continuation: by the mark of a token and of the one behind it. None for what is no word,
    and everywhere where the vocabulary has no mark."""
    n = len(token_id_T)
    places = np.full(n, None, object)
    if vocabulary.mark is None or not n:
        return places
    starts_of = {int(token): vocabulary.starts_word(int(token)) for token in np.unique(token_id_T)}
    starts_T = np.array([starts_of[int(token)] for token in token_id_T])
    is_word_T = np.isin(classes_T.astype(str), (FUNCTION, UPPER, CAPITALISED, OTHER))
    goes_on_T = np.zeros(n, bool)
    goes_on_T[:-1] = (document_T[1:] == document_T[:-1]) & ~starts_T[1:] & is_word_T[1:]
    places[is_word_T & starts_T & ~goes_on_T] = WHOLE
    places[is_word_T & starts_T & goes_on_T] = START
    places[is_word_T & ~starts_T] = CONTINUATION
    return places


def words_of_texts(texts: Sequence[str], ids: Sequence[NDArray[np.int64]], *, least: int = 20) -> dict[int, str]:
    """Pieces learned from texts where every token is a word of it: id -> word; empty where that is not so.

    Texts are divided at spaces. It is so where in 99 % of at least `least` texts the number of words is that of the
    tokens, and where one id always stands for one word, but for 1 %.
    """
    pairs = [(text.split(), list(map(int, numbers))) for text, numbers in zip(texts, ids, strict=True)]
    fitting = [(words, numbers) for words, numbers in pairs if len(words) == len(numbers)]
    if len(pairs) < least or len(fitting) < 0.99 * len(pairs):
        return {}
    word_of: dict[int, str] = {}
    agree = total = 0
    for words, numbers in fitting:
        for word, number in zip(words, numbers, strict=True):
            agree += word_of.setdefault(number, word).lower() == word.lower()
            total += 1
    return word_of if agree >= 0.99 * total else {}


def _is_cjk(character: str) -> bool:
    if character.isascii():
        return False
    name = unicodedata.name(character, "")
    return name.startswith(("CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "IDEOGRAPHIC"))

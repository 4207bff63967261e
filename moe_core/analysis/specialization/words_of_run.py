"""Which requests of a sample show what its tokens say, and the vocabulary that follows from them."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_core.analysis.specialization.sample import RoutingSample
from moe_core.analysis.specialization.word_classes import Vocabulary, words_of_texts

# texts and their token ids -> token id -> piece, of a tokenizer that turns these texts into these ids; None without
PiecesOf = Callable[[Sequence[str], Sequence[NDArray[np.int64]]], Mapping[int, str] | None]
TRIED = 2000  # words may have to be learned from them


def requests_to_try(sample: RoutingSample, most: int = TRIED) -> list[str]:
    """Ids of some requests, spread over the sample, whose tokens are all known."""
    unknown_D = np.bincount(sample.document_T, sample.token_id_T < 0, minlength=sample.n_documents)
    size_D = np.bincount(sample.document_T, minlength=sample.n_documents)
    known = np.flatnonzero((unknown_D == 0) & (size_D > 0))
    if not len(known):
        return []
    chosen = np.unique(np.linspace(0, len(known) - 1, most).astype(np.int64))
    return [sample.request_ids[i] for i in known[chosen]]


def words_of_run(sample: RoutingSample, tried: pd.DataFrame, pieces_of: PiecesOf) -> Vocabulary | None:
    """What the tokens of a sample say. tried (request_id, text): of `requests_to_try`, a text may be missing."""
    known = tried.dropna(subset="text")
    texts, ids = list(known["text"]), token_ids_of(sample, list(known["request_id"]))
    return vocabulary_of(pieces_of(texts, ids), texts, ids)


def token_ids_of(sample: RoutingSample, request_ids: Sequence[str]) -> list[NDArray[np.int64]]:
    """The ids of the tokens of each of these requests, by position."""
    number = {name: i for i, name in enumerate(sample.request_ids)}
    begins = np.searchsorted(sample.document_T, np.arange(sample.n_documents + 1))
    return [sample.token_id_T[begins[number[name]] : begins[number[name] + 1]] for name in request_ids]


def vocabulary_of(
    pieces: Mapping[int, str] | None, texts: Sequence[str], token_ids: Sequence[NDArray[np.int64]]
) -> Vocabulary | None:
    """From the pieces of a tokenizer, or else from texts of which every token is a word; None without either."""
    if pieces:
        return Vocabulary.of(pieces)
    learned = words_of_texts(texts, token_ids)
    return Vocabulary.of(learned, "texts") if learned else None

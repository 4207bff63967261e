"""Which features each token of a sample has: its id, its class, its place in a word, its place in the text."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_core.analysis.message import N_
from moe_core.analysis.specialization.calling import Feature
from moe_core.analysis.specialization.sample import RoutingSample
from moe_core.analysis.specialization.settings import SpecializationSettings
from moe_core.analysis.specialization.word_classes import Vocabulary, classes_of, places_in_words

FIRST, LAST = "first", "last"
DECILES = 10
POSITION_NAMES = {FIRST: N_("the first token of a text"), LAST: N_("the last token of a text")} | {
    f"decile{i}": N_("part {i} of 10 of a text") for i in range(1, DECILES + 1)
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenFeatures:
    """Pairs: token `token_P` has feature `feature_P`, a place in `features`. Every pair stands once."""

    features: tuple[Feature, ...]
    token_P: NDArray[np.int64]
    feature_P: NDArray[np.int64]


def token_features(
    sample: RoutingSample, vocabulary: Vocabulary | None, settings: SpecializationSettings
) -> TokenFeatures:
    """Classes and places in words (with a vocabulary only), positions, and the most frequent single tokens that enough
    documents have."""
    features: list[Feature] = []
    tokens: list[NDArray[np.int64]] = []
    kinds = _positions(sample)
    if vocabulary is not None:
        classes = classes_of(vocabulary, sample.token_id_T, sample.is_special_T)
        pieces = places_in_words(vocabulary, classes, sample.token_id_T, sample.document_T)
        kinds = [("class", classes), ("piece", pieces), *kinds]
    for kind, values_T in kinds:
        for value in sorted({str(value) for value in values_T if value is not None}):
            features.append((kind, value))
            tokens.append(np.flatnonzero(values_T == value))
    for token_id in _frequent(sample, settings):
        features.append(("token", str(token_id)))
        tokens.append(np.flatnonzero(sample.token_id_T == token_id))
    return TokenFeatures(
        features=tuple(features), token_P=np.concatenate(tokens) if tokens else np.empty(0, np.int64),
        feature_P=np.repeat(np.arange(len(tokens)), [len(each) for each in tokens]),
    )  # fmt: skip


def _positions(sample: RoutingSample) -> list[tuple[str, NDArray[np.object_]]]:
    """First and last word and tenths of the text, special tokens left out."""
    n = sample.n_tokens
    ends, tenths = np.full(n, None, object), np.full(n, None, object)
    ordinary = np.flatnonzero(~sample.is_special_T)
    document = sample.document_T[ordinary]
    begins = np.flatnonzero(np.diff(document, prepend=-1))
    sizes = np.diff(begins, append=len(document))
    within = np.arange(len(document)) - np.repeat(begins, sizes)
    size_T = np.repeat(sizes, sizes)
    ends[ordinary[within == 0]] = FIRST
    ends[ordinary[(within == size_T - 1) & (size_T > 1)]] = LAST
    long = size_T >= DECILES
    for i in range(DECILES):
        tenths[ordinary[long & (within * DECILES // np.maximum(size_T, 1) == i)]] = f"decile{i + 1}"
    return [("position", ends), ("decile", tenths)]


def _frequent(sample: RoutingSample, settings: SpecializationSettings) -> list[int]:
    """Ids that enough documents of each half have, the frequent ones first."""
    known = np.flatnonzero((sample.token_id_T >= 0) & ~sample.is_special_T)
    if not len(known):
        return []
    ids, number, counts = np.unique(sample.token_id_T[known], return_inverse=True, return_counts=True)
    pair = np.unique(number * sample.n_documents + sample.document_T[known])
    of_token, document = pair // sample.n_documents, pair % sample.n_documents
    enough = counts >= 2 * settings.least_tokens
    for half in (0, 1):
        of_half = sample.half_D[document] == half
        enough &= np.bincount(of_token[of_half], minlength=len(ids)) >= settings.least_documents
    candidates = np.flatnonzero(enough)
    order = candidates[np.argsort(-counts[candidates], kind="stable")]
    room = settings.most_cells // max(1, sample.n_layers * sample.n_experts)
    return [int(ids[i]) for i in order[: min(settings.most_tokens, max(room, 8))]]

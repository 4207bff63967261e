"""Leave-one-word-out and swaps: the whole text is read again without each word, all variants in one batched call.

Nothing is recorded. A variant keeps the routing of every token, so that one call serves every token, layer and expert
of the text. The followed token is found by its characters, since positions shift when a word goes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from moe_core.analysis.counterfactual.alignment import Block, Edit, Span, align
from moe_core.analysis.counterfactual.neutral import MOST_NEUTRAL, neutral_texts, proposed_words
from moe_core.analysis.counterfactual.templates import Wordings
from moe_core.errors import InputError
from moe_core.explain.neutral_fill import SPACED, UNSPACED, replacements, swaps_each
from moe_core.explain.word_effects import Reading, SwapReport, WordEffect, WordReport, effects
from moe_core.explain.word_units import Word, in_groups, kept, replaced, without, words_of
from moe_core.model.requests import Setting, TextRequest

if TYPE_CHECKING:
    from moe_core.model.reference import RoutedModel

MOST_TOKENS = 16_384  # of all variants together; longer texts lose several words at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One edited text as the model read it. place_T: intact position -> position here, -1 where the token is gone;
    scores_LTE, thresholds_LTE, ran_LTE as in a trace; probability: label -> probability, empty without a head."""

    text: str
    n_tokens: int
    place_T: NDArray[np.int64]
    scores_LTE: NDArray[np.float32]
    thresholds_LTE: NDArray[np.float32]
    ran_LTE: NDArray[np.bool_]
    label: str | None
    probability: dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class WordRuns:
    """One text, read without each word and with neutral swaps. removed: None where nothing would be left; neutral:
    (index of the word that was swapped, its replacement, the text as read)."""

    text: str
    setting: Setting
    spans_T: tuple[Span, ...]
    is_special: tuple[bool, ...]
    words: tuple[Word, ...]
    grouped: int
    unknown: float
    intact: Variant
    removed: tuple[Variant | None, ...]
    neutral: tuple[tuple[int, str, Variant], ...]

    @property
    def n_texts(self) -> int:
        return 1 + sum(each is not None for each in self.removed) + len(self.neutral)


def run_words(model: "RoutedModel", text: str, setting: Setting) -> WordRuns:
    """Reads the text intact, without each of its words, and with neutral swaps of each word.

    Raises InputError for a text or setting that cannot be used, and in dense mode, which decides nothing.
    """
    if setting.mode == "dense":
        raise InputError("Dense mode runs the original, which decides nothing: choose an adaptive or top-k run.")
    fillers = known_fillers(model, text)
    encoding = model.tokenizer.tokenizer.encode(text)
    spans = tuple((int(a), int(b)) for a, b in encoding.offsets)
    special = tuple(bool(flag) for flag in encoding.special_tokens_mask)
    words = words_of(text, spans, special)
    each = swaps_each(len(words)) if fillers else 0
    grouped = max(1, -(-len(words) * len(spans) * (1 + each) // MOST_TOKENS))
    if grouped > 1:
        words = in_groups(text, words, grouped)
    edits: list[tuple[str, tuple[Block, ...]]] = [(text, ((0, 0, len(text)),))]
    removed_at: list[int | None] = []
    for word in words:
        left, blocks = without(text, word)
        removed_at.append(len(edits) if left else None)
        edits += [(left, blocks)] if left else []
    swapped: list[tuple[int, str]] = []
    for index, word in enumerate(words):
        for filler in replacements(word, core_tokens(word, spans), fillers, first=index * each, count=each):
            swapped.append((index, filler))
            edits.append(replaced(text, word, filler))
    variants = read_variants(model, setting, edits, spans, special)
    same_length = zip(swapped, variants[len(variants) - len(swapped) :], strict=True)
    unknown = unknown_share(model, encoding.tokens)
    return WordRuns(
        text=text, setting=setting, spans_T=spans, is_special=special, words=tuple(words), grouped=grouped,
        unknown=unknown, intact=variants[0],
        removed=tuple(None if at is None else variants[at] for at in removed_at),
        neutral=tuple((*which, read) for which, read in same_length if read.n_tokens == len(spans)),
    )  # fmt: skip


def word_report(runs: WordRuns, *, position: int, layer: int, expert_id: int) -> WordReport:
    """Effects of every word on one decision, on the answer and on compute. Raises InputError for a decision that the
    text does not have."""
    check_decision(runs, position, layer, expert_id)
    at = (position, layer, expert_id)
    intact = reading(runs, runs.intact, at)
    floors = [(index, reading(runs, variant, at)) for index, _, variant in runs.neutral]
    found = []
    for index, (word, variant) in enumerate(zip(runs.words, runs.removed, strict=True)):
        after = None if variant is None else reading(runs, variant, at)
        decision, answer, compute = effects(intact, after, [each for other, each in floors if other != index])
        found.append(
            WordEffect(index=index, word=word, holds_token=word.holds(runs.spans_T[position]), reading=after,
                       decision=decision, answer=answer, compute=compute)
        )  # fmt: skip
    return WordReport(position=position, layer=layer, expert_id=expert_id, intact=intact, words=tuple(found),
                      grouped=runs.grouped, unknown=runs.unknown, n_texts=runs.n_texts)  # fmt: skip


def swap_report(
    model: "RoutedModel", runs: WordRuns, index: int, replacement: str, *, position: int, layer: int, expert_id: int,
    wordings: Sequence[Wordings] = (),
) -> SwapReport:  # fmt: skip
    """One word replaced by the user's own, beside neutral swaps of the same word and number of tokens: other words of
    its group where `wordings` hold one, else ordinary words.

    Raises InputError for a replacement that changes nothing.
    """
    check_decision(runs, position, layer, expert_id)
    word, new = runs.words[index], replacement.strip()
    core = word.core if word.core[0] < word.core[1] else (word.start, word.end)
    old = runs.text[slice(*core)]
    if not new or new == old:
        raise InputError("The replacement is empty or the word itself: type another word.")
    edit = Edit(old, new, core, (core[0], core[0] + len(new)))
    listed = proposed_words(edit, wordings)
    tokens = core_tokens(word, runs.spans_T)
    fillers = known_fillers(model, runs.text)
    ordinary = list(replacements(word, tokens, fillers, first=index, count=MOST_NEUTRAL))
    proposals = [w for w in dict.fromkeys(listed or ordinary) if w.casefold() != new.casefold()][:MOST_NEUTRAL]
    edits = [
        (text, kept(*core, len(runs.text), len(each)))
        for each, text in zip([new, *proposals], neutral_texts(runs.text, edit, [new, *proposals]), strict=True)
    ]
    own, *neutral = read_variants(model, runs.setting, edits, runs.spans_T, runs.is_special)
    even = [(w, v) for w, v in zip(proposals, neutral, strict=True) if v.n_tokens == runs.intact.n_tokens]
    at = (position, layer, expert_id)
    before, after = reading(runs, runs.intact, at), reading(runs, own, at)
    decision, answer, compute = effects(before, after, [reading(runs, variant, at) for _, variant in even])
    return SwapReport(word=word, replacement=new, before=before, after=after, decision=decision, answer=answer,
                      compute=compute, neutral_words=tuple(w for w, _ in even), from_lists=bool(listed))  # fmt: skip


def reading(runs: WordRuns, variant: Variant, at: tuple[int, int, int]) -> Reading:
    """What a variant says of the decision `at` = (position in the intact text, layer, expert) and of the answer."""
    position, layer, expert = at
    place = int(variant.place_T[position])
    score = threshold = runs_ = None
    if place >= 0:
        runs_ = bool(variant.ran_LTE[layer, place, expert])
        score = float(variant.scores_LTE[layer, place, expert])
        threshold = float(variant.thresholds_LTE[layer, place, expert])
        if runs.setting.mode == "topk":
            lost = [lost_expert for at_layer, lost_expert in runs.setting.unavailable if at_layer == layer]
            threshold = rival_score(variant.scores_LTE[layer, place], variant.ran_LTE[layer, place], runs_, lost)
    label = runs.intact.label
    probability = None if label is None else variant.probability[label]
    lead = None
    if label is not None and probability is not None:
        lead = probability - max(p for name, p in variant.probability.items() if name != label)
    return Reading(
        n_tokens=variant.n_tokens, score=score, threshold=threshold, runs=runs_,
        margin=None if score is None or threshold is None else score - threshold, label=variant.label,
        probability=probability, lead=lead, experts_per_token=float(variant.ran_LTE.sum(axis=2).mean()),
    )  # fmt: skip


def rival_score(
    scores_E: NDArray[np.float32], ran_E: NDArray[np.bool_], runs: bool, lost: Sequence[int] = ()
) -> float:
    """Top-k: the best score that does not run, for an expert that runs; the worst that runs, for one that does not.
    `lost` experts could not run and are nobody's rival."""
    waits_E = ~ran_E
    waits_E[list(lost)] = False
    others = scores_E[waits_E] if runs else scores_E[ran_E]
    if not others.size:
        return 0.0
    return float(others.max() if runs else others.min())


def read_variants(
    model: "RoutedModel", setting: Setting, edits: Sequence[tuple[str, tuple[Block, ...]]], spans_T: Sequence[Span],
    is_special: Sequence[bool],
) -> list[Variant]:  # fmt: skip
    """Answers all edited texts in one batch. edits: text, and the stretches it shares with the intact text."""
    session = model.session(replace(setting, keep_traces=True, truncate=False, batch_tokens=2 * MOST_TOKENS))
    texts = [text for text, _ in edits]
    answers = session.answer([TextRequest(text=text) for text in texts])
    encodings = model.tokenizer.tokenizer.encode_batch(texts)
    probabilities: list[dict[str, float]] = [{} for _ in texts]
    if session.head is not None:
        embeddings_BD = torch.from_numpy(np.stack([answer.embedding_D for answer in answers]))
        rows_BC = session.head.probabilities(embeddings_BD).tolist()
        probabilities = [dict(zip(session.head.card.labels, row, strict=True)) for row in rows_BC]
    result = []
    for (text, blocks), answer, encoding, probability in zip(edits, answers, encodings, probabilities, strict=True):
        assert answer.trace is not None, "the setting keeps traces"
        special = [bool(flag) for flag in encoding.special_tokens_mask]
        result.append(
            Variant(
                text=text, n_tokens=answer.n_tokens,
                place_T=places(spans_T, is_special, [(int(a), int(b)) for a, b in encoding.offsets], special, blocks),
                scores_LTE=answer.trace.scores_LTE, thresholds_LTE=answer.trace.thresholds_LTE,
                ran_LTE=answer.trace.gates_LTE > 0, label=answer.label, probability=probability,
            )
        )  # fmt: skip
    return result


def places(
    spans_T: Sequence[Span], is_special: Sequence[bool], new_spans: Sequence[Span], new_special: Sequence[bool],
    blocks: Sequence[Block],
) -> NDArray[np.int64]:  # fmt: skip
    """Where each token of the intact text is in an edited one, by its characters; special tokens by their order.
    -1 = it is gone."""
    found_T = np.full(len(spans_T), -1, dtype=np.int64)
    alignment = align(spans_T, is_special, new_spans, new_special, blocks)
    found_T[list(alignment.left_P)] = alignment.right_P
    old = [i for i, special in enumerate(is_special) if special]
    new = [i for i, special in enumerate(new_special) if special]
    if len(old) == len(new):
        found_T[old] = new
    return found_T


def core_tokens(word: Word, spans_T: Sequence[Span]) -> int:
    """Tokens whose characters lie inside a word's core."""
    return sum(word.core[0] <= a and b <= word.core[1] and a < b for a, b in spans_T)


def known_fillers(model: "RoutedModel", text: str) -> list[str]:
    """Neutral fillers that are one token of this model, in the script of the text."""
    candidates = UNSPACED if any(c > "\u3000" for c in text) else SPACED
    encodings = model.tokenizer.tokenizer.encode_batch(list(candidates), add_special_tokens=False)
    unknown = model.tokenizer.unknown_piece
    return [c for c, e in zip(candidates, encodings, strict=True) if len(e.ids) == 1 and e.tokens[0] != unknown]


def unknown_share(model: "RoutedModel", pieces: Sequence[str]) -> float:
    """Share of tokens that the model has no word for."""
    unknown = model.tokenizer.unknown_piece
    return sum(piece == unknown for piece in pieces) / len(pieces)


def check_decision(runs: WordRuns, position: int, layer: int, expert_id: int) -> None:
    """Raises InputError where the text has no such decision."""
    n_layers, n_tokens, n_experts = runs.intact.scores_LTE.shape
    if not (0 <= position < n_tokens and 0 <= layer < n_layers and 0 <= expert_id < n_experts):
        raise InputError(
            f"There is no decision at position {position}, layer {layer}, expert {expert_id}: the text has {n_tokens} "
            f"tokens, the model {n_layers} layers of {n_experts} experts."
        )

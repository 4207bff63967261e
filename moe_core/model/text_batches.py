"""Training text as token ids, and the order in which it is seen: a pure function of seed and step."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from moe_core.errors import InputError
from moe_core.request_files import read_rows

UNCASED_BERT = 30522  # vocabulary of the usual English tokenizer
UNCASED_BERT_WORDS = (1996, 29000)  # its words and pieces, without single characters and unused entries
ONE_DOMAIN = "text"  # where a file names none


@dataclass(frozen=True, slots=True)
class TokenizedTexts:
    """ids: all texts behind each other; offsets_N1: text i is ids[offsets[i]:offsets[i + 1]];
    domain_N: index into domains; word_ids: range of ids that stand in for another word when a text is disturbed."""

    ids: NDArray[np.unsignedinteger[Any]]
    offsets_N1: NDArray[np.int64]
    domain_N: NDArray[np.int16]
    domains: tuple[str, ...]
    word_ids: tuple[int, int] = UNCASED_BERT_WORDS

    def __len__(self) -> int:
        return len(self.domain_N)

    def text(self, index: int, max_tokens: int) -> list[int]:
        """Token ids of one text; a long one keeps its first tokens and its end mark."""
        ids: list[int] = self.ids[self.offsets_N1[index] : self.offsets_N1[index + 1]].tolist()
        return ids if len(ids) <= max_tokens else [*ids[: max_tokens - 1], ids[-1]]

    def subset(self, rows: Sequence[int]) -> "TokenizedTexts":
        """The texts with these numbers, in this order."""
        parts = [self.ids[self.offsets_N1[row] : self.offsets_N1[row + 1]] for row in rows]
        offsets_N1 = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        ids = np.concatenate([self.ids[:0], *parts]).astype(self.ids.dtype)
        return replace(self, ids=ids, offsets_N1=offsets_N1, domain_N=self.domain_N[list(rows)])


def tokenize_corpus(path: Path, tokenizer: Tokenizer, *, limit: int | None = None) -> TokenizedTexts:
    """Reads JSON lines with `text` and `domain` (all one domain without it), or a .txt or .csv file.

    Raises InputError if the file is missing, broken or empty.
    """
    if not path.is_file():
        raise InputError(f"There is no training text at {path}: build it with `routelens data get corpus`.")
    texts: list[str] = []
    domains: list[str] = []
    for text, domain in _texts_of(path):
        texts.append(text)
        domains.append(domain)
        if limit is not None and len(texts) >= limit:
            break
    if not texts:
        raise InputError(f"{path} holds no text: build it with `routelens data get corpus`.")
    return tokenize_texts(texts, domains, tokenizer)


def _texts_of(path: Path) -> Iterator[tuple[str, str]]:
    """(text, domain) of every row; JSON lines are read one by one, since a corpus is large."""
    if path.suffix.lower() in (".txt", ".csv"):
        yield from ((row.text, ONE_DOMAIN) for row in read_rows(path))
        return
    with path.open(encoding="utf-8") as lines:
        number = 0
        try:
            for line in lines:
                number += 1
                if line.strip():
                    row = json.loads(line)
                    yield row["text"], str(row.get("domain", ONE_DOMAIN))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}, line {number}: not a JSON object with the key `text` in UTF-8 ({error}): correct the line."
            ) from error


def tokenize_texts(texts: Sequence[str], domains: Sequence[str], tokenizer: Tokenizer) -> TokenizedTexts:
    """Token ids of all texts, in their order; 16 bits an id where the vocabulary allows it."""
    names = tuple(sorted(set(domains)))
    size = 1 + max(tokenizer.get_vocab().values())
    dtype = np.uint16 if size <= 2**16 else np.uint32
    chunks, lengths = [np.zeros(0, dtype=dtype)], []
    for start in range(0, len(texts), 4096):
        for encoding in tokenizer.encode_batch(list(texts[start : start + 4096])):
            chunks.append(np.asarray(encoding.ids, dtype=dtype))
            lengths.append(len(encoding.ids))
    offsets_N1 = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    index = {name: i for i, name in enumerate(names)}
    domain_N = np.asarray([index[d] for d in domains], dtype=np.int16)
    return TokenizedTexts(np.concatenate(chunks), offsets_N1, domain_N, names, _word_ids(tokenizer, size))


def _word_ids(tokenizer: Tokenizer, size: int) -> tuple[int, int]:
    """The longest range of ids without a special token."""
    if size == UNCASED_BERT:
        return UNCASED_BERT_WORDS
    special = [number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special]
    marks = [-1, *sorted(number for number in special if number < size), size]
    before, after = max(pairwise(marks), key=lambda pair: pair[1] - pair[0])
    return before + 1, max(before + 2, after)


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchConfig:
    """tokens: size of a batch; max_tokens: longest text; domain_power: 1 = domains by their size, 0 = all alike;
    noise: share of texts whose tokens are disturbed (dropped, swapped, replaced), as unusual text is."""

    tokens: int = 1024
    max_tokens: int = 96
    domain_power: float = 0.6
    noise: float = 0.12


def batches(texts: TokenizedTexts, config: BatchConfig, *, seed: int, first_step: int = 0) -> Iterator[list[list[int]]]:
    """Endless batches of texts of similar length. Starting at `first_step` gives what a run from 0 would see."""
    counts = np.bincount(texts.domain_N, minlength=len(texts.domains)).clip(min=1).astype(np.float64)
    weight_N = (counts ** (config.domain_power - 1))[texts.domain_N]
    probability_N = weight_N / weight_N.sum()
    length_N = np.minimum(np.diff(texts.offsets_N1), config.max_tokens)
    step, round_ = 0, 0
    while True:
        rng = np.random.default_rng([seed, round_])
        drawn = rng.choice(len(texts), size=min(len(texts), 20_000), p=probability_N)
        plan = _plan(drawn[np.argsort(length_N[drawn], kind="stable")], length_N, config.tokens)
        for place in rng.permutation(len(plan)):
            if step >= first_step:
                noise_rng = np.random.default_rng([seed, round_, int(place)])
                rows = [texts.text(int(i), config.max_tokens) for i in plan[place]]
                yield [
                    _disturb(row, noise_rng, texts.word_ids) if noise_rng.random() < config.noise else row
                    for row in rows
                ]
            step += 1
        round_ += 1


def _plan(ordered: NDArray[np.int64], length_N: NDArray[np.int64], tokens: int) -> list[list[int]]:
    plan: list[list[int]] = [[]]
    used = 0
    for index in ordered.tolist():
        if used + length_N[index] > tokens and plan[-1]:
            plan.append([])
            used = 0
        plan[-1].append(index)
        used += int(length_N[index])
    return plan


def _disturb(ids: Sequence[int], rng: np.random.Generator, word_ids: tuple[int, int]) -> list[int]:
    """Keeps the first and last (special) token; changes about a sixth of the others."""
    if len(ids) < 3:
        return list(ids)
    inner = list(ids[1:-1])
    for i in range(len(inner)):
        draw = rng.random()
        if draw < 0.05:
            inner[i] = int(rng.integers(*word_ids))
        elif draw < 0.10 and i + 1 < len(inner):
            inner[i], inner[i + 1] = inner[i + 1], inner[i]
        elif draw < 0.15:
            inner[i] = -1
    kept = [i for i in inner if i >= 0] or list(ids[1:-1])
    return [ids[0], *kept, ids[-1]]

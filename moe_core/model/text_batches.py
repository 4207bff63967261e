"""Training text as token ids, and the order in which it is seen: a pure function of seed and step."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from moe_core.errors import InputError


@dataclass(frozen=True, slots=True)
class TokenizedTexts:
    """ids: all texts behind each other, uint16; offsets_N1: text i is ids[offsets[i]:offsets[i + 1]];
    domain_N: index into domains."""

    ids: NDArray[np.uint16]
    offsets_N1: NDArray[np.int64]
    domain_N: NDArray[np.int16]
    domains: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.domain_N)

    def text(self, index: int, max_tokens: int) -> list[int]:
        """Token ids of one text; a long one keeps its first tokens and its end mark."""
        ids: list[int] = self.ids[self.offsets_N1[index] : self.offsets_N1[index + 1]].tolist()
        return ids if len(ids) <= max_tokens else [*ids[: max_tokens - 1], ids[-1]]


def tokenize_corpus(path: Path, tokenizer: Tokenizer, *, limit: int | None = None) -> TokenizedTexts:
    """Reads JSON lines with `text` and `domain`. Raises InputError if the file is missing or empty."""
    if not path.is_file():
        raise InputError(f"There is no training text at {path}: build it with `routelens data get corpus`.")
    texts: list[str] = []
    domains: list[str] = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            texts.append(row["text"])
            domains.append(row["domain"])
            if limit is not None and len(texts) >= limit:
                break
    if not texts:
        raise InputError(f"{path} holds no text: build it with `routelens data get corpus`.")
    names = tuple(sorted(set(domains)))
    chunks, lengths = [], []
    for start in range(0, len(texts), 4096):
        for encoding in tokenizer.encode_batch(texts[start : start + 4096]):
            chunks.append(np.asarray(encoding.ids, dtype=np.uint16))
            lengths.append(len(encoding.ids))
    offsets_N1 = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    index = {name: i for i, name in enumerate(names)}
    domain_N = np.asarray([index[d] for d in domains], dtype=np.int16)
    return TokenizedTexts(np.concatenate(chunks), offsets_N1, domain_N, names)


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
    counts = np.bincount(texts.domain_N, minlength=len(texts.domains)).astype(np.float64)
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
                yield [_disturb(row, noise_rng) if noise_rng.random() < config.noise else row for row in rows]
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


def _disturb(ids: Sequence[int], rng: np.random.Generator) -> list[int]:
    """Keeps the first and last (special) token; changes about a sixth of the others."""
    inner = list(ids[1:-1])
    for i in range(len(inner)):
        draw = rng.random()
        if draw < 0.05:
            inner[i] = int(rng.integers(1996, 29000))
        elif draw < 0.10 and i + 1 < len(inner):
            inner[i], inner[i + 1] = inner[i + 1], inner[i]
        elif draw < 0.15:
            inner[i] = -1
    kept = [i for i in inner if i >= 0] or list(ids[1:-1])
    return [ids[0], *kept, ids[-1]]

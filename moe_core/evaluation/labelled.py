"""Labelled texts of a task folder: `train.jsonl` and `test.jsonl` with text, label and, if there is one, domain."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from moe_core.errors import InputError


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """texts, labels and domains (empty where there is none) of the same length."""

    texts: Sequence[str]
    labels: Sequence[str]
    domains: Sequence[str]

    def __len__(self) -> int:
        return len(self.texts)

    def shuffled(self, seed: int) -> "LabelledTexts":
        """The same rows in an order drawn with `seed`, so that the first ones are a random sample."""
        return self._rows(np.random.default_rng(seed).permutation(len(self)).tolist())

    def first(self, n: int) -> "LabelledTexts":
        """At most the first `n` rows."""
        return self._rows(range(min(n, len(self))))

    def _rows(self, kept: Sequence[int]) -> "LabelledTexts":
        return LabelledTexts(*([column[i] for i in kept] for column in (self.texts, self.labels, self.domains)))


def read_labelled(path: Path) -> LabelledTexts:
    """Raises InputError, naming the line, where a text or a label is missing."""
    texts, labels, domains = [], [], []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): give a UTF-8 file of JSON lines.") from error
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            text, label = row["text"], row["label"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}, line {number}: {error!r}; every line needs text and label.") from error
        if isinstance(text, str) and text.strip():
            texts.append(text)
            labels.append(str(label))
            domains.append(str(row.get("domain") or ""))
    if not texts:
        raise InputError(f"{path} holds no text: give JSON lines with text and label.")
    return LabelledTexts(texts, labels, domains)

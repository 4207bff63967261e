"""The texts that are timed: the bundled demo requests, brought to each regime's number of tokens, always the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from moe_core.errors import InputError
from moe_core.model.tokens import TextTokenizer
from moe_core.request_files import TextRow, read_rows

DEMO_FILE = Path(__file__).resolve().parents[2] / "data" / "demo" / "requests.jsonl"
Regime = Literal["one", "one-long", "batch32", "batch256"]
REGIMES: tuple[Regime, ...] = ("one", "one-long", "batch32", "batch256")
RANGES = {"one": (8, 30), "one-long": (80, 120)}  # tokens of the single text
SIZES = {"batch32": 32, "batch256": 256}

Batch = list[list[int]]


@dataclass(frozen=True, slots=True)
class Workload:
    """Token ids of the batches of every regime (a single text is a batch of one), and the labelled texts."""

    batches: dict[Regime, list[Batch]]
    token_ids: Batch
    labels: list[str | None]


def load_workload(tokenizer: TextTokenizer, path: Path = DEMO_FILE) -> Workload:
    """Raises InputError if the demo requests are missing or too few to fill the regimes."""
    rows: list[TextRow] = read_rows(path)
    ids = [text.ids for text in tokenizer.encode([row.text for row in rows], truncate=True)]
    batches: dict[Regime, list[Batch]] = {}
    for regime in REGIMES:
        if regime in RANGES:
            low, high = (min(limit, tokenizer.max_tokens) for limit in RANGES[regime])
            batches[regime] = [[text] for text in fit(ids, low, high)]
        else:
            batches[regime] = groups(ids, SIZES[regime])
        if not batches[regime]:
            raise InputError(f"{path} holds too little text for the regime {regime}: restore the file.")
    return Workload(batches, ids, [row.label for row in rows])


def fit(token_ids: Sequence[Sequence[int]], low: int, high: int) -> Batch:
    """Texts of `low` to `high` tokens: those that fit; if none does, neighbours are joined and cut to `high`.

    The first and last token of a text are its special ones; a joined text has one pair of them.
    """
    fitting = [list(ids) for ids in token_ids if low <= len(ids) <= high]
    if fitting:
        return fitting
    made: Batch = []
    words: list[int] = []
    for ids in token_ids:
        words += ids[1:-1]
        if len(words) + 2 >= low:
            made.append([ids[0], *words[: high - 2], ids[-1]])
            words = []
    return made


def groups(token_ids: Sequence[Sequence[int]], size: int) -> list[Batch]:
    """Consecutive batches of `size` texts; if there are fewer texts, one batch that repeats them."""
    ids = [list(text) for text in token_ids]
    if 0 < len(ids) < size:
        ids = (ids * -(-size // len(ids)))[:size]
    return [ids[start : start + size] for start in range(0, len(ids) - size + 1, size)]

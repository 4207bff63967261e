"""The pieces of a recorded run's tokens: from a model folder whose tokenizer is that of the run.

A run names its model; a folder that holds a model of that name has its tokenizer. For a run of another name, e.g. an
imported one, the tokenizer is tried: where it turns the recorded texts into just the recorded token ids, it is theirs.
Loads no torch.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

LEAST_TEXTS, MOST_TEXTS = 10, 60
LEAST_SAME = 0.99  # of the texts


def pieces_of_run(
    folder: Path, model_name: str, texts: Sequence[str], token_ids: Sequence[NDArray[np.int64]]
) -> dict[int, str] | None:
    """Token id -> piece of the folder's tokenizer; None where it is not that of the run, or there is none.

    `texts`, `token_ids`: some requests of the run, to try the tokenizer on.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    stamp = path.stat().st_mtime_ns
    if _name_of(folder) != model_name and not _makes_these(str(path), stamp, texts, token_ids):
        return None
    return _pieces(str(path), stamp)


def _name_of(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("name", folder.name))
    except (OSError, ValueError, AttributeError):
        return None


def _makes_these(path: str, stamp: int, texts: Sequence[str], token_ids: Sequence[NDArray[np.int64]]) -> bool:
    """With special tokens or without; a text that was cut agrees as far as it was read."""
    tokenizer = _tokenizer(path, stamp)
    if tokenizer is None or len(texts) < LEAST_TEXTS:
        return False
    some = range(0, len(texts), -(-len(texts) // MOST_TEXTS))
    for special in (True, False):
        encoded = tokenizer.encode_batch([texts[i] for i in some], add_special_tokens=special)
        same = [_agrees(each.ids, token_ids[i].tolist()) for each, i in zip(encoded, some, strict=True)]
        if sum(same) >= LEAST_SAME * len(same):
            return True
    return False


def _agrees(made: list[int], recorded: list[int]) -> bool:
    n = len(recorded) - 1  # the last one of a cut text is the special end
    return made == recorded or (len(made) > len(recorded) > 8 and made[:n] == recorded[:n])


@lru_cache(maxsize=2)
def _tokenizer(path: str, stamp: int) -> Tokenizer | None:
    try:
        tokenizer: Tokenizer = Tokenizer.from_file(path)
    except Exception:  # the library raises bare Exception; without pieces, ids are shown
        return None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


@lru_cache(maxsize=2)
def _pieces(path: str, stamp: int) -> dict[int, str] | None:
    tokenizer = _tokenizer(path, stamp)
    return None if tokenizer is None else {number: piece for piece, number in tokenizer.get_vocab().items()}

"""Which of the user's texts train the model and which are held out to measure it: never both, whatever the order."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from moe_core.errors import InputError
from moe_core.model.text_batches import ONE_DOMAIN, TokenizedTexts, tokenize_texts
from moe_core.model.tokens import MAX_CHARACTERS, check_text
from moe_core.request_files import TextRow, read_rows

LEAST = 50  # texts to train on, and texts to measure on
SHARE, MOST = 0.1, 1920  # of the user's own texts that are held out, if no other file is given
MOST_DOMAINS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class TextShares:
    """train, heldout: token ids; heldout_name for the records; notes: what was left out, for the user."""

    train: TokenizedTexts
    heldout: TokenizedTexts
    heldout_name: str
    notes: tuple[str, ...]


def read_shares(
    file: Path, heldout: Path | None, tokenizer: Tokenizer, *, column: str = "text", domain: str | None = None
) -> TextShares:
    """Reads one or two files of texts. Repeated texts and texts without a readable token are left out, and so is a
    training text that is also held out. Raises InputError if fewer than LEAST remain on either side."""
    texts, notes = _distinct(file, column, domain)
    if heldout is None:
        order = sorted(texts, key=_place)
        n = min(MOST, max(LEAST, round(SHARE * len(order))))
        held = {key: texts.pop(key) for key in order[:n]}
        name = f"{len(held):,} texts of {file.name}, chosen by their hash"
    else:
        held, more = _distinct(heldout, column, domain)
        shared = [texts.pop(key) for key in list(texts) if key in held]
        notes += more
        if shared:
            notes.append(f"{file.name}: {len(shared):,} texts are also in {heldout.name}; nothing is trained on them.")
        name = heldout.name
    train, unreadable = _tokenized(list(texts.values()), tokenizer)
    measured, also = _tokenized(list(held.values()), tokenizer)
    if unreadable + also:
        notes.append(f"{unreadable + also:,} texts hold nothing that the tokenizer can read and are left out.")
    if len(train) < LEAST or len(measured) < LEAST:
        raise InputError(
            f"{file} leaves {len(train)} different texts to train on and {len(measured)} to measure on; at least "
            f"{LEAST} of each are needed: give more text (1,000 or more are advisable)."
        )
    unknown = tokenizer.token_to_id("[UNK]")
    share = 0.0 if unknown is None else float(np.mean(train.ids == unknown))
    if share > 0.2:
        notes.append(f"{share:.0%} of the tokens are unknown to the tokenizer: is this the language of the encoder?")
    return TextShares(train=train, heldout=measured, heldout_name=name, notes=tuple(notes))


def _distinct(path: Path, column: str, domain: str | None) -> tuple[dict[str, TextRow], list[str]]:
    """key -> first row with this text (case and spaces aside), and remarks."""
    rows = read_rows(path, column=column, domain=domain)
    found: dict[str, TextRow] = {}
    for row in rows:
        check_text(row.text, row.number, truncate=True)
        found.setdefault(" ".join(row.text.lower().split()), row)
    again = len(rows) - len(found)
    return found, [f"{path.name}: {again:,} repeated texts are used once."] if again else []


def _place(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _tokenized(rows: Sequence[TextRow], tokenizer: Tokenizer) -> tuple[TokenizedTexts, int]:
    """(texts with a readable token, number of the others)."""
    domains = [row.domain or ONE_DOMAIN for row in rows]
    if len(set(domains)) > MOST_DOMAINS:
        raise InputError(f"The domain column names more than {MOST_DOMAINS:,} kinds of text: choose a coarser column.")
    texts = tokenize_texts([row.text[:MAX_CHARACTERS] for row in rows], domains, tokenizer)
    marks = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    blank = set(tokenizer.encode("").ids)
    unknown = tokenizer.token_to_id("[UNK]")
    empty = np.isin(texts.ids, list((marks | blank) - {unknown}))
    readable = [i for i in range(len(texts)) if not empty[texts.offsets_N1[i] : texts.offsets_N1[i + 1]].all()]
    return (texts if len(readable) == len(texts) else texts.subset(readable)), len(texts) - len(readable)

"""Text -> token ids, with the checks that every text has to pass before a model sees it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from moe_core.errors import CheckpointError, InputError

MAX_CHARACTERS = 50_000


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """ids, their printable pieces, and which are special ([CLS], [SEP]); T entries each."""

    ids: list[int]
    pieces: list[str]
    is_special: list[bool]


class TextTokenizer:
    """The model folder's tokenizer.json without its built-in padding and truncation: a text is refused, not cut."""

    def __init__(self, path: Path, max_tokens: int) -> None:
        try:
            self.tokenizer: Tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise CheckpointError(f"{path} is missing or not a tokenizer ({error}): restore the file.") from error
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.max_tokens = max_tokens
        unknown = json.loads(self.tokenizer.to_str()).get("model", {}).get("unk_token")
        # what it writes for a word it does not have; None for one that has every word
        self.unknown_piece: str | None = unknown if isinstance(unknown, str) else None

    def encode(self, texts: Sequence[str], *, truncate: bool = False, first_number: int = 1) -> list[TokenizedText]:
        """Raises InputError, naming the text by its number, if it is blank, too long, or holds nothing to read."""
        for number, text in enumerate(texts, start=first_number):
            check_text(text, number, truncate=truncate)
        result = []
        cut = [text[:MAX_CHARACTERS] for text in texts] if truncate else list(texts)
        for number, encoding in enumerate(self.tokenizer.encode_batch(cut), start=first_number):
            ids, pieces = list(encoding.ids), list(encoding.tokens)
            special = [bool(flag) for flag in encoding.special_tokens_mask]
            if all(special):
                raise InputError(f"Text {number} holds no readable character: give a text with words.")
            if len(ids) > self.max_tokens:
                if not truncate:
                    raise InputError(
                        f"Text {number} has {len(ids)} tokens, the model reads at most {self.max_tokens}: "
                        "split it, or allow truncation."
                    )
                keep = self.max_tokens - 1
                ids, pieces = [*ids[:keep], ids[-1]], [*pieces[:keep], pieces[-1]]
                special = [*special[:keep], special[-1]]
            result.append(TokenizedText(ids, pieces, special))
        return result


def check_text(text: str, number: int, *, truncate: bool = False) -> None:
    """Raises InputError for anything that is not a text of reasonable size."""
    if not isinstance(text, str):
        raise InputError(f"Text {number} is {type(text).__name__}, not text: give a string.")
    if not text.strip():
        raise InputError(f"Text {number} is empty: give a text with words.")
    if len(text) > MAX_CHARACTERS and not truncate:
        raise InputError(f"Text {number} has {len(text):,} characters, the limit is {MAX_CHARACTERS:,}: split it.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"Text {number} holds a broken character at place {error.start}: save it as UTF-8.") from error

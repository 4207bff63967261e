"""The tokenizer of an encoder folder: tokenizer.json as it stands, or a WordPiece vocab.txt turned into one."""

import json
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from moe_core.errors import CheckpointError

UNKNOWN, START, END = "[UNK]", "[CLS]", "[SEP]"
PROBE = "Zebra crossing, 1980"


def base_tokenizer(folder: Path, vocab_size: int) -> tuple[Tokenizer, list[str]]:
    """(tokenizer without padding and truncation, remarks for the user).

    Raises CheckpointError if there is none, or if it does not fit the encoder.
    """
    notes: list[str] = []
    if (folder / "tokenizer.json").is_file():
        tokenizer = _read(folder / "tokenizer.json")
    elif (folder / "vocab.txt").is_file():
        tokenizer, note = _from_vocabulary(folder)
        notes.append(note)
    else:
        raise CheckpointError(
            f"{folder} holds no tokenizer.json (nor a WordPiece vocab.txt): save the fast tokenizer there "
            "(in Transformers: `AutoTokenizer.from_pretrained(NAME).save_pretrained(DIR)`)."
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    numbers = tokenizer.get_vocab().values()
    if not numbers or max(numbers) >= vocab_size:
        raise CheckpointError(
            f"The tokenizer in {folder} knows {len(numbers):,} tokens, the encoder {vocab_size:,}: "
            "they do not belong together."
        )
    probe = tokenizer.encode(PROBE)
    if any(probe.type_ids):
        raise CheckpointError(
            f"The tokenizer in {folder} marks single texts with token type 1; only type 0 is supported: correct its "
            "post-processor."
        )
    ends = [*probe.special_tokens_mask[:1], *probe.special_tokens_mask[-1:]]
    if ends != [1, 1]:
        notes.append(
            "The tokenizer puts no [CLS] and [SEP] around a text; texts are read as it gives them. "
            "If the encoder was trained with these marks, add a post-processor to tokenizer.json first."
        )
    return tokenizer, notes


def lower_cases(tokenizer: Tokenizer) -> bool:
    """Whether capitals make no difference."""
    return bool(tokenizer.encode(PROBE).ids == tokenizer.encode(PROBE.lower()).ids)


def _read(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise CheckpointError(f"{path} is not a tokenizer ({error}): restore the file.") from error


def _from_vocabulary(folder: Path) -> tuple[Tokenizer, str]:
    """BERT's usual rules around a vocab.txt (one piece a line), with the options of tokenizer_config.json."""
    path = folder / "vocab.txt"
    try:
        pieces = [line.rstrip("\r") for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n")]
        options = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        options = {}
    except ValueError as error:
        raise CheckpointError(f"{folder}: vocab.txt or tokenizer_config.json cannot be read ({error}).") from error
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    missing = [mark for mark in (UNKNOWN, START, END) if mark not in vocabulary]
    if missing or not isinstance(options, dict):
        what = f"lacks {' and '.join(missing)}" if missing else "has a broken tokenizer_config.json beside it"
        raise CheckpointError(f"{path} {what}: give a tokenizer.json instead.")
    capitals = any(piece[:1].isupper() for piece in pieces)
    lowercase = bool(options.get("do_lower_case", not capitals))
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=lowercase,
        strip_accents=options.get("strip_accents"),
        handle_chinese_chars=bool(options.get("tokenize_chinese_chars", True)),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}",
        special_tokens=[(START, vocabulary[START]), (END, vocabulary[END])],
    )
    tokenizer.add_special_tokens([mark for mark in ("[PAD]", UNKNOWN, START, END, "[MASK]") if mark in vocabulary])
    case = "lower-casing" if lowercase else "keeping capitals"
    return tokenizer, f"tokenizer.json was made from vocab.txt with BERT's rules, {case}."

"""The task `source`: which kind of text is this? Built from the training text itself, so its truth is free.

Label and domain of a text are the kind it came from. Test texts come from the held-out documents, so no document lies
on both sides. A kind takes part if enough of its texts are held out, and every kind gives about as many texts as the
others. Which ones follows from the texts alone.
"""

import heapq
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moe_core.errors import SourceError
from moe_core.sources.passages import normalise, stable_number

NAME = "source"
TRAIN_PER_KIND, TEST_PER_KIND = 200, 75
LEAST_HELDOUT = 40  # texts; a kind with fewer says too little
NO_KIND = frozenset(("misspelt",))  # disturbed copies of texts of other kinds

Chosen = dict[str, dict[int, str]]  # kind -> number of the text -> text


def build_source_task(corpus: Path, out_dir: Path) -> dict[str, Any]:
    """Write `train.jsonl` and `test.jsonl` below `out_dir/source`, in the form of every labelled task.

    Args:
        corpus: folder with the `train.jsonl` and `heldout.jsonl` of `routelens data get corpus`.

    Raises:
        SourceError: the corpus is missing or damaged, or fewer than two kinds have enough held-out texts.
    """
    test = _choose(corpus / "heldout.jsonl", TEST_PER_KIND)
    test = {kind: texts for kind, texts in test.items() if len(texts) >= min(LEAST_HELDOUT, TEST_PER_KIND)}
    if len(test) < 2:
        raise SourceError(
            f"{corpus / 'heldout.jsonl'} has {len(test)} kinds of text with {LEAST_HELDOUT} texts or more, two are "
            "needed: build the whole corpus with `routelens data get corpus`."
        )
    held = {number for texts in test.values() for number in texts}
    train = _choose(corpus / "train.jsonl", TRAIN_PER_KIND, kinds=frozenset(test), apart=held)
    folder = out_dir / NAME
    folder.mkdir(parents=True, exist_ok=True)
    summary: dict[str, Any] = {"task": NAME, "path": folder}
    for side, chosen in (("train", train), ("test", test)):
        rows = sorted((number, text, kind) for kind, texts in chosen.items() for number, text in texts.items())
        lines = [
            json.dumps({"id": f"{number:016x}", "text": text, "label": kind, "domain": kind}, ensure_ascii=False)
            for number, text, kind in rows
        ]
        (folder / f"{side}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        summary[side] = len(rows)
        summary[f"{side}_labels"] = {kind: len(chosen[kind]) for kind in sorted(chosen)}
    return summary


def _choose(path: Path, per_kind: int, *, kinds: frozenset[str] | None = None, apart: set[int] | None = None) -> Chosen:
    """Of every kind the `per_kind` texts with the smallest numbers; a text of two kinds keeps the first."""
    heaps: dict[str, list[tuple[int, str]]] = defaultdict(list)
    seen: set[int] = set()
    for text, kind in _texts(path):
        if kind in NO_KIND or (kinds is not None and kind not in kinds):
            continue
        number = stable_number(normalise(text))
        if number in seen or (apart is not None and number in apart):
            continue
        seen.add(number)
        if len(heaps[kind]) < per_kind:
            heapq.heappush(heaps[kind], (-number, text))
        elif -number > heaps[kind][0][0]:
            heapq.heapreplace(heaps[kind], (-number, text))
    return {kind: {-negative: text for negative, text in heap} for kind, heap in heaps.items()}


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    row = json.loads(line)
                    yield str(row["text"]), str(row["domain"])
                except (ValueError, KeyError, TypeError) as error:
                    raise SourceError(
                        f"{path}, line {number} is damaged ({error!r}): build it with `routelens data get corpus`."
                    ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read ({error}): run `routelens data get corpus` first.") from error

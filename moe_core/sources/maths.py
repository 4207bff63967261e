"""Maths and logic questions made by a generator package, as one more local file for the corpus.

The package `reasoning_gym` is a library that makes questions from a seed; it is the one data
package that may be imported. It is needed only here, and only for training.
"""

import importlib
import json
from pathlib import Path

from moe_core.errors import SourceError
from moe_core.sources.extras import Extra

_MANY = 1200
_FEW = 400
_KINDS = {
    "aiw": _MANY, "basic_arithmetic": _FEW, "calendar_arithmetic": _MANY, "chain_sum": _FEW,
    "coin_flip": _FEW, "count_bits": _FEW, "count_primes": _FEW, "decimal_arithmetic": _FEW,
    "family_relationships": _MANY, "fraction_simplification": _FEW, "gcd": _FEW,
    "gsm_symbolic": _MANY, "knights_knaves": _FEW, "lcm": _FEW, "leg_counting": _MANY,
    "letter_counting": _FEW, "power_function": _FEW, "products": _FEW,
    "propositional_logic": _FEW, "simple_equations": _FEW, "simple_geometry": _FEW,
    "spell_backward": _FEW, "syllogism": _FEW, "time_intervals": _MANY, "word_sorting": _FEW,
    "zebra_puzzles": _FEW,
}  # fmt: skip


def write_maths(path: Path, *, seed: int) -> Extra:
    """Write generated questions and answers as JSON Lines, and return how to read the file.

    Raises:
        SourceError: the generator package is not installed.
    """
    try:
        generator = importlib.import_module("reasoning_gym")
    except ImportError as error:
        raise SourceError(
            "The maths generator is not installed; run `pip install reasoning_gym==0.1.25` in "
            "the environment that builds the corpus, or build it without maths."
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as out:
        for kind, size in _KINDS.items():
            for item in generator.create_dataset(kind, size=size, seed=seed):
                record = {"question": item["question"], "answer": str(item["answer"]), "kind": kind}
                out.write(json.dumps(record) + "\n")
    return Extra(path=path, domain="maths", source="reasoning_gym", keys=("question", "answer"))

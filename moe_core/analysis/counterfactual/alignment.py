"""Which tokens of two texts are the same words, by their places in the text: tokenisation may shift, characters tell.

Units of comparison are words, numbers, runs of white space and single other characters (each Japanese or Chinese
character is a unit of its own).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_UNIT = re.compile(r"[A-Za-z\u00c0-\u024f]+|\d+|\s+|.", re.DOTALL)

Span = tuple[int, int]
Block = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Alignment:
    """Positions of tokens. left_P[i] and right_P[i] hold the same characters; swapped_*: ordinary tokens of one side
    that have no partner. Special tokens are in neither."""

    left_P: tuple[int, ...]
    right_P: tuple[int, ...]
    swapped_left: tuple[int, ...]
    swapped_right: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """Words that were replaced: `old` at characters old_span of the first text, `new` at new_span of the second."""

    old: str
    new: str
    old_span: Span
    new_span: Span


def equal_blocks(left: str, right: str) -> list[Block]:
    """(start in left, start in right, characters) of the stretches that both texts share, in order."""
    return [(a, c, b - a) for kind, a, b, c, _ in _operations(left, right) if kind == "equal"]


def edits(left: str, right: str) -> list[Edit]:
    """What was changed, in order. Edits with nothing but white space between them are one edit."""
    merged: list[list[int]] = []
    between = ""
    for kind, a, b, c, d in _operations(left, right):
        if kind == "equal":
            between = left[a:b]
            continue
        if merged and not between.strip():
            merged[-1][1], merged[-1][3] = b, d
        else:
            merged.append([a, b, c, d])
        between = ""
    return [Edit(left[a:b].strip(), right[c:d].strip(), (a, b), (c, d)) for a, b, c, d in merged]


def align(
    left_spans: Sequence[Span], left_special: Sequence[bool], right_spans: Sequence[Span],
    right_special: Sequence[bool], blocks: Sequence[Block],
) -> Alignment:  # fmt: skip
    """Pairs tokens whose characters lie in the same place of the same block; spans are [start, end) in characters."""
    places = {
        span: position
        for position, (span, special) in enumerate(zip(right_spans, right_special, strict=True))
        if not special
    }
    left_P: list[int] = []
    right_P: list[int] = []
    swapped: list[int] = []
    at = 0
    for position, ((start, end), special) in enumerate(zip(left_spans, left_special, strict=True)):
        if special:
            continue
        while at + 1 < len(blocks) and start >= blocks[at][0] + blocks[at][2]:
            at += 1
        partner = None
        if at < len(blocks):
            block_left, block_right, length = blocks[at]
            if block_left <= start and end <= block_left + length:
                shift = block_right - block_left
                partner = places.get((start + shift, end + shift))
        if partner is None:
            swapped.append(position)
        else:
            left_P.append(position)
            right_P.append(partner)
    taken = set(right_P)
    return Alignment(
        tuple(left_P), tuple(right_P), tuple(swapped), tuple(p for p in sorted(places.values()) if p not in taken)
    )


def _operations(left: str, right: str) -> list[tuple[str, int, int, int, int]]:
    """Opcodes of difflib over units, as places of characters."""
    left_units, right_units = _UNIT.findall(left), _UNIT.findall(right)
    left_at, right_at = _starts(left_units), _starts(right_units)
    matcher = SequenceMatcher(None, left_units, right_units, autojunk=False)
    return [(kind, left_at[a], left_at[b], right_at[c], right_at[d]) for kind, a, b, c, d in matcher.get_opcodes()]


def _starts(units: Sequence[str]) -> list[int]:
    starts = [0]
    for unit in units:
        starts.append(starts[-1] + len(unit))
    return starts

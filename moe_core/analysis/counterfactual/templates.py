"""Templates for counterfactual pairs: the same text with one attribute swapped, read from JSON lines.

A line is a *slot* (words that can stand in for each other, by group) or a *template* (a text with places for such
words, or whole wordings by group). Swapping words of different groups is the counterfactual; swapping words of one
group is the neutral swap that says how much any swap changes. `data/counterfactuals/README.md` describes the format
with examples.
"""

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moe_core.errors import InputError

MOST_TEXTS = 50_000
SLOT_KEYS = {"slot", "attribute", "groups"}
TEMPLATE_KEYS = {"template", "text", "slots", "attribute", "groups", "feature"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Wordings:
    """One template with all its wordings: n texts that differ in one attribute or in neutral words only.

    groups: names; group_N: index into them for each wording; words_N: what stands in the place; shared: the words
    belong to a slot that other templates use too, so that the same wording has the same place in all of them.
    """

    template: str
    attribute: str
    groups: tuple[str, ...]
    group_N: tuple[int, ...]
    words_N: tuple[str, ...]
    texts_N: tuple[str, ...]
    shared: bool


@dataclass(frozen=True, slots=True)
class _Slot:
    attribute: str
    groups: tuple[str, ...]
    group_N: tuple[int, ...]
    fills_N: tuple[Mapping[str, str], ...]


def parse_templates(text: str, name: str) -> list[Wordings]:
    """Content of a template file -> one entry per template and attribute, in the order of the file.

    Raises InputError, naming file and line, for a line that is no slot and no template, a place without words, a group
    without a second wording to compare with, or the same wording twice.
    """
    slots: dict[str, _Slot] = {}
    result: list[Wordings] = []
    seen: set[str] = set()
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        record = _record(line, where)
        if "slot" in record:
            _check_keys(record, SLOT_KEYS, SLOT_KEYS, where)
            slots[_text(record, "slot", where)] = _slot(record, where)
            continue
        _check_keys(record, TEMPLATE_KEYS, {"template"}, where)
        identity = _text(record, "template", where)
        if identity in seen:
            raise InputError(f"{where}: the template {identity!r} stands twice: give every template its own name.")
        seen.add(identity)
        result += _whole(record, identity, where) if "groups" in record else _filled(record, identity, slots, where)
    if not result:
        raise InputError(f"{name} holds no template: see data/counterfactuals/README.md for the format.")
    if (n := sum(len(wordings.texts_N) for wordings in result)) > MOST_TEXTS:
        raise InputError(f"{name} makes {n:,} texts, at most {MOST_TEXTS:,} are run: use fewer words in its slots.")
    return result


def _record(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{where}: not valid JSON ({error}): write one object a line.") from error
    if not isinstance(record, dict) or ("slot" in record) == ("template" in record):
        raise InputError(f"{where}: not a slot and not a template: give an object with the key slot or template.")
    return record


def _check_keys(record: Mapping[str, Any], known: set[str], needed: set[str], where: str) -> None:
    if unknown := sorted(set(record) - known):
        raise InputError(f"{where}: the key {unknown[0]!r} is unknown: use {', '.join(sorted(known))}.")
    if missing := sorted(needed - set(record)):
        raise InputError(f"{where}: the key {missing[0]!r} is missing: add it.")


def _text(record: Mapping[str, Any], key: str, where: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: {key!r} must be a text that is not empty.")
    return value


def _groups(record: Mapping[str, Any], where: str) -> dict[str, list[Any]]:
    groups = record["groups"]
    if not isinstance(groups, dict) or len(groups) < 2:
        raise InputError(f"{where}: 'groups' must name at least two groups, each with a list of wordings.")
    for group, words in groups.items():
        if not isinstance(words, list) or not words:
            raise InputError(f"{where}: group {group!r} must be a list with at least one wording.")
    if all(len(words) < 2 for words in groups.values()):
        raise InputError(
            f"{where}: no group has a second wording, so there is no neutral swap to compare with: add one."
        )
    return groups


def _slot(record: Mapping[str, Any], where: str) -> _Slot:
    groups = _groups(record, where)
    fills: list[Mapping[str, str]] = []
    group_N: list[int] = []
    for index, (group, words) in enumerate(groups.items()):
        for word in words:
            fill = {record["slot"]: word} if isinstance(word, str) else word
            if not isinstance(fill, dict) or not fill or not all(isinstance(v, str) and v for v in fill.values()):
                raise InputError(f"{where}: a wording of group {group!r} is neither a text nor an object of texts.")
            if fill in fills:
                raise InputError(f"{where}: the wording {next(iter(fill.values()))!r} stands twice: keep one.")
            fills.append(fill)
            group_N.append(index)
    return _Slot(_text(record, "attribute", where), tuple(groups), tuple(group_N), tuple(fills))


def _filled(record: Mapping[str, Any], identity: str, slots: Mapping[str, _Slot], where: str) -> list[Wordings]:
    """A text with places -> one entry per slot that it names."""
    text, names = _text(record, "text", where), record.get("slots")
    if not isinstance(names, list) or not names:
        raise InputError(f"{where}: 'slots' must list at least one slot that stands in a line above.")
    places = _places(text, where)
    result = []
    for name in names:
        if name not in slots:
            raise InputError(f"{where}: there is no slot {name!r} above this line; there are: {', '.join(slots)}.")
        slot = slots[name]
        for fill in slot.fills_N:
            if missing := sorted(places - set(fill)):
                raise InputError(f"{where}: slot {name!r} has no words for the place {{{missing[0]}}}.")
        words = tuple(next(iter(fill.values())) for fill in slot.fills_N)
        texts = tuple(text.format(**fill) for fill in slot.fills_N)
        result.append(_wordings(identity, slot.attribute, slot.groups, slot.group_N, words, texts, True, where))
    return result


def _places(text: str, where: str) -> set[str]:
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise InputError(f"{where}: a brace in the text does not close ({error}): write {{{{ for a brace.") from error
    places = {place for _, place, _, _ in parts if place is not None}
    plain = all(not spec and not conversion for _, place, spec, conversion in parts if place is not None)
    if not places or not plain or not all(place.isidentifier() for place in places):
        raise InputError(f"{where}: the text needs a place such as {{name}}, one word in braces and nothing else.")
    return places


def _whole(record: Mapping[str, Any], identity: str, where: str) -> list[Wordings]:
    """Whole wordings by group -> one entry."""
    groups = _groups(record, where)
    texts = [text for words in groups.values() for text in words]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise InputError(f"{where}: every wording must be a text that is not empty.")
    group_N = tuple(index for index, words in enumerate(groups.values()) for _ in words)
    attribute = _text(record, "attribute", where)
    return [_wordings(identity, attribute, tuple(groups), group_N, tuple(texts), tuple(texts), False, where)]


def _wordings(
    identity: str, attribute: str, groups: tuple[str, ...], group_N: tuple[int, ...], words: tuple[str, ...],
    texts: tuple[str, ...], shared: bool, where: str,
) -> Wordings:  # fmt: skip
    if len(set(texts)) != len(texts):
        raise InputError(f"{where}: two wordings give the same text: every wording must differ.")
    return Wordings(
        template=identity, attribute=attribute, groups=groups, group_N=group_N, words_N=words, texts_N=texts,
        shared=shared,
    )  # fmt: skip


def by_attribute(wordings: list[Wordings]) -> dict[str, list[Wordings]]:
    """The entries of each attribute. Raises InputError where one attribute has different words in different templates
    of shared slots, or mixes slots with whole wordings."""
    result: dict[str, list[Wordings]] = {}
    for each in wordings:
        result.setdefault(each.attribute, []).append(each)
    for attribute, entries in result.items():
        first = entries[0]
        for other in entries[1:]:
            same_words = not first.shared or (other.words_N == first.words_N and other.group_N == first.group_N)
            if other.shared != first.shared or other.groups != first.groups or not same_words:
                raise InputError(
                    f"Attribute {attribute!r} has other groups or words in template {other.template!r} than in "
                    f"{first.template!r}: give each slot an attribute of its own."
                )
    return result

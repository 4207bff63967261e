"""`routelens data get adult` and the like: people as JSON lines, split once and for all into two halves.

The side is decided by a hash of the text without the protected attributes, so that equal texts, and both variants of
one person, lie on one side. Rows stand in an order that a hash decides, so that the first N are a random sample.
"""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moe_core.errors import SourceError
from moe_core.sources.catalogue import find_source
from moe_core.sources.fetch import open_source
from moe_core.sources.passages import normalise, stable_number
from moe_core.sources.people.adult import read_adult
from moe_core.sources.people.census import read_census
from moe_core.sources.people.compas import read_compas
from moe_core.sources.people.german_credit import read_german_credit
from moe_core.sources.people.mortgages import read_mortgages
from moe_core.sources.people.person import Person


@dataclass(frozen=True, kw_only=True, slots=True)
class PeopleSet:
    """A data set about persons: its source in the catalogue, its reader, the label that a person would want."""

    name: str
    source: str
    read: Callable[[Path], Iterator[Person]]
    wanted: str


PEOPLE = {
    each.name: each
    for each in (
        PeopleSet(name="adult", source="people_adult", read=read_adult, wanted="over 50K"),
        PeopleSet(name="compas", source="people_compas", read=read_compas, wanted="not charged again"),
        PeopleSet(name="german_credit", source="people_german_credit", read=read_german_credit, wanted="good"),
        PeopleSet(name="census", source="people_census", read=read_census, wanted="over 50K"),
        PeopleSet(name="mortgages", source="people_mortgages", read=read_mortgages, wanted="approved"),
    )
}


def build_people(name: str, cache_dir: Path, out_dir: Path) -> dict[str, Any]:
    """Write `train.jsonl`, `test.jsonl` and the same with `_protected` below `out_dir/<name>`.

    Each line holds `id`, `text`, `label`, `domain` (the set's name) and a key for every attribute (`sex`, `race`,
    `age`, `sex_race`, some sets `origin` and `hispanic`); unknown values are left out of it as empty texts.

    Returns the folder, counts of rows per side, label and group, and the label that a person would want.

    Raises SourceError: no such set, its source cannot be had, or its files are not as expected.
    """
    if name not in PEOPLE:
        raise SourceError(f"No data set about people is called {name!r}; use one of {', '.join(PEOPLE)}.")
    chosen = PEOPLE[name]
    folder = open_source(find_source(chosen.source), cache_dir)
    try:
        people = sorted(chosen.read(folder), key=lambda each: stable_number(each.text_protected))
    except (StopIteration, KeyError, ValueError, IndexError, RuntimeError) as error:
        raise SourceError(
            f"The files of {name!r} in {folder} are not as expected ({error!r}); delete that folder and run "
            "`routelens data get` again."
        ) from error
    target = out_dir / name
    target.mkdir(parents=True, exist_ok=True)
    keys = sorted({key for person in people for key in person.groups})
    sides: dict[str, list[Person]] = {"train": [], "test": []}
    for person in people:
        sides["test" if stable_number(normalise(person.text)) % 2 == 0 else "train"].append(person)
    for side, members in sides.items():
        for suffix in ("", "_protected"):
            _write(target / f"{side}{suffix}.jsonl", name, members, keys, with_protected=bool(suffix))
    return {
        "name": name,
        "wanted_label": chosen.wanted,
        "attributes": keys,
        **{side: len(members) for side, members in sides.items()},
        "labels": dict(Counter(person.label for person in people)),
        "groups": {key: dict(Counter(p.groups.get(key, "unknown") for p in people).most_common()) for key in keys},
    }


def _write(path: Path, name: str, people: list[Person], keys: list[str], *, with_protected: bool) -> None:
    lines = io.StringIO()
    for number, person in enumerate(people):
        record = {
            "id": f"{name}-{path.stem.split('_')[0]}-{number:06d}",
            "text": person.text_protected if with_protected else person.text,
            "label": person.label,
            "domain": name,
            **{key: person.groups.get(key, "") for key in keys},
        }
        lines.write(json.dumps(record, ensure_ascii=False) + "\n")
    path.write_text(lines.getvalue(), encoding="utf-8")

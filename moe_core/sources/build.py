"""`routelens data get NAME`: one name for a package, a labelled task, people, or all training text."""

import importlib.util
from pathlib import Path
from typing import Any

from moe_core.errors import SourceError
from moe_core.sources.catalogue import list_sources
from moe_core.sources.corpus import build_corpus
from moe_core.sources.extras import load_extras
from moe_core.sources.fetch import get_source
from moe_core.sources.maths import write_maths
from moe_core.sources.people.build import PEOPLE, build_people
from moe_core.sources.source_task import NAME as SOURCE_TASK
from moe_core.sources.source_task import build_source_task
from moe_core.sources.tasks import TASKS, build_task

MATHS_SEED = 7


def get(name: str, cache: Path, extra: Path | None = None) -> dict[str, Any]:
    """Downloads or builds `name` below `cache` (packages/, corpus/, tasks/NAME/, people/NAME/).

    `extra` names a TOML file with further local text and is read for `corpus` only. Raises SourceError.
    """
    packages = cache / "packages"
    if name == "corpus":
        extras = load_extras(extra) if extra is not None else []
        if importlib.util.find_spec("reasoning_gym") is not None:
            extras.append(write_maths(cache / "maths.jsonl", seed=MATHS_SEED))
        return {"path": str(cache / "corpus"), **build_corpus(packages, cache / "corpus", extras)}
    if name in TASKS:
        return {"path": str(cache / "tasks" / name), **build_task(name, packages, cache / "tasks")}
    if name in PEOPLE:
        return {"path": str(cache / "people" / name), **build_people(name, packages, cache / "people")}
    if name == SOURCE_TASK:
        return {"path": str(cache / "tasks" / name), **build_source_task(cache / "corpus", cache / "tasks")}
    names = [str(source["name"]) for source in list_sources()]
    if name not in names:
        raise SourceError(
            f"There is no data named {name!r}: use corpus, {', '.join([*TASKS, SOURCE_TASK, *PEOPLE])}, "
            f"or one of {', '.join(names)}."
        )
    return get_source(name, packages)

"""TOML file -> frozen dataclass. An unknown key is an error with its path and the nearest valid name."""

import dataclasses
import difflib
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from moe_core.errors import ConfigError

T = TypeVar("T")


def load_config(path: Path, kind: type[T]) -> T:
    """Reads `path` into the dataclass `kind`; nested dataclasses are TOML tables.

    Raises ConfigError for a missing file, broken TOML, an unknown key or a value of the wrong type.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"There is no configuration file {path}: give the path of a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error
    return from_mapping(raw, kind, where=str(path))


def from_mapping(raw: dict[str, Any], kind: type[T], *, where: str) -> T:
    """Builds the dataclass `kind` from plain values; `where` names the file and table in messages."""
    hints = typing.get_type_hints(kind)
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Valid keys: {', '.join(sorted(names))}."
            raise ConfigError(f"{where}: unknown key {key!r}.{hint}")
        values[key] = _convert(value, hints[key], where=f"{where}: {key}")
    try:
        return kind(**values)
    except TypeError as error:
        raise ConfigError(f"{where}: {error}.") from error
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _convert(value: Any, hint: Any, *, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise ConfigError(f"{where} must be a table.")
        return from_mapping(value, hint, where=where)
    if origin is typing.Literal:
        if value not in arguments:
            raise ConfigError(f"{where} is {value!r}; valid values: {', '.join(map(repr, arguments))}.")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where} must be a list.")
        return tuple(_convert(item, arguments[0], where=where) for item in value)
    if origin is types.UnionType:
        hint = next(argument for argument in arguments if argument is not type(None))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(hint, type) or not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{where} is {value!r}; expected {getattr(hint, '__name__', hint)}.")
    return value

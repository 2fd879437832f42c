"""TOML tables to frozen dataclasses: what is misspelt, missing or of a wrong type is refused."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from asmnet.errors import InvalidInputError

Record = TypeVar("Record")
EXTENDS = "extends"


def read_table(path: Path) -> dict[str, Any]:
    """The content of a TOML file, over that of the file which its ``extends`` names.

    The other file's path starts at this one's folder; it may extend a third. Tables are merged
    key by key, everything else is replaced.

    Raises:
        InvalidInputError: a file that is not there or no TOML, or files that extend each other.
    """
    return _read(path, ())


def _read(path: Path, chain: tuple[Path, ...]) -> dict[str, Any]:
    # Imported here because publishing needs nothing of the training extra.
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    path = path.resolve()
    if path in chain:
        raise InvalidInputError(f"{path}: extends: expected another file, got one that extends it")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read: {error}") from error
    except ValueError as error:  # of TOML, and of text that is not UTF-8
        raise InvalidInputError(f"{path}: expected TOML: {error}") from error
    if EXTENDS not in table:
        return table
    base = table.pop(EXTENDS)
    if not isinstance(base, str):
        raise InvalidInputError(f"{path}: extends: expected the path of a file, got {base!r}")
    return _merged(_read(path.parent / base, (*chain, path)), table)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = _merged(old, value)  # noqa: PLW2901
        out[key] = value
    return out


def parse(record: type[Record], table: Mapping[str, Any], origin: str) -> Record:
    """A dataclass from a table.

    Fields may be of type bool, int, float, str or a Literal, tuples of these, dicts of these by
    name, other dataclasses, or each of these or None. A field without a default has to be there.

    Args:
        record: the dataclass.
        table: its fields by name; tuples come as lists and dataclasses as tables.
        origin: of the table, which messages start with.

    Raises:
        InvalidInputError: a key that is unknown or missing, or a value of a wrong type. The message
            names the key.
    """
    assert is_dataclass(record)
    types = get_type_hints(record)
    known = [field.name for field in fields(record) if field.init]
    for key in table:
        if key not in known:
            raise InvalidInputError(f"{origin}: {key}: no such key; {_nearest(key, known)}")
    missing = [
        field.name
        for field in fields(record)
        if field.init
        and field.name not in table
        and field.default is MISSING
        and field.default_factory is MISSING
    ]
    if missing:
        raise InvalidInputError(f"{origin}: expected {', '.join(missing)}, got none")
    values = {key: _value(types[key], value, f"{origin}: {key}") for key, value in table.items()}
    return record(**values)


def _value(expected: Any, value: Any, where: str) -> Any:
    """The value as the type wants it, or InvalidInputError."""
    origin, arguments = get_origin(expected), get_args(expected)
    if origin in (Union, UnionType):
        (inner,) = (t for t in arguments if t is not NoneType)
        return _value(inner, value, where)
    if origin is Literal:
        if value not in arguments:
            names = ", ".join(map(repr, arguments))
            raise InvalidInputError(f"{where}: expected one of {names}, got {value!r}")
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(_value(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: _value(arguments[1], v, f"{where}.{key}") for key, v in value.items()}
    if is_dataclass(expected) and isinstance(expected, type) and isinstance(value, dict):
        return parse(expected, value, where)
    if expected is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if expected in (bool, int, str) and type(value) is expected:  # a bool is no int here
        return value
    raise InvalidInputError(f"{where}: expected {_name(expected)}, got {value!r}")


def _name(expected: Any) -> str:
    names: dict[Any, str] = {float: "a number", int: "a whole number", str: "a text"}
    names |= {bool: "true or false", tuple: "a list", dict: "a table"}
    return names.get(get_origin(expected) or expected, "a table")


def _nearest(key: str, known: Sequence[str]) -> str:
    near = get_close_matches(key, known, n=1)
    return f"did you mean {near[0]}?" if near else f"expected some of {', '.join(known)}"

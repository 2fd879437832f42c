"""Checks of arguments, one for each kind: a plain value comes back, or an `InvalidInputError`.

NumPy's scalars are numbers like Python's; a bool is none. Whatever object comes, nothing but our
error is raised.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from asmnet.errors import InvalidInputError

T = TypeVar("T")


def shown(value: object) -> str:
    """``repr`` for messages: short, and of objects that have none as well."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  of somebody else's class; or a huge int, which has no digits
        text = f"an object of {type(value).__name__}"
    return text if len(text) <= 200 else f"{text[:200]}…"


def whole_number(value: Any, name: str, *, least: int, most: int | None = None) -> int:
    """A whole number within limits."""
    good = isinstance(value, Integral) and not isinstance(value, bool)
    if not good or int(value) < least or (most is not None and int(value) > most):
        kind = "a positive int" if least == 1 else f"an int from {least} on"
        limit = "" if most is None else f", {most} at most"
        raise InvalidInputError(f"{name}: expected {kind}{limit}, got {shown(value)}")
    return int(value)


def positive_int(value: object, name: str, *, most: int | None = None) -> int:
    """A whole number from 1 on."""
    return whole_number(value, name, least=1, most=most)


def number(
    value: Any, name: str, expected: str, *, least: float = -math.inf, most: float = math.inf
) -> float:
    """A finite number within limits; ``expected`` says which, for the message."""
    plain = math.nan
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):  # an int or a Fraction may be too large
            plain = float(value)
    if not math.isfinite(plain) or not least <= plain <= most:
        raise InvalidInputError(f"{name}: expected {expected}, got {shown(value)}")
    return plain


def probability(value: object, name: str) -> float:
    """A number from 0 to 1."""
    return number(value, name, "a number from 0 to 1", least=0, most=1)


def one_of(value: object, name: str, choices: Sequence[T]) -> T:
    """One of a few strings or whole numbers; the choice itself comes back."""
    if isinstance(value, str | Integral) and not isinstance(value, bool):
        for choice in choices:
            if value == choice:
                return choice
    listed = " or ".join(
        f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in choices
    )
    raise InvalidInputError(f"{name}: expected {listed}, got {shown(value)}")


def flag(value: object, name: str) -> bool:
    """True or False, NumPy's as well."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidInputError(f"{name}: expected True or False, got {shown(value)}")
    return bool(value)


def instance(value: object, name: str, kind: type[T]) -> T:
    """An object of a class."""
    if not isinstance(value, kind):
        raise InvalidInputError(f"{name}: expected {_a(kind)}, got {shown(value)}")
    return value


def path_name(value: Any) -> str | None:
    """The string of a string or path; None for anything else, a path of bytes among it."""
    try:
        name = os.fspath(value)
    except Exception:  # noqa: BLE001  of somebody else's class
        return None
    return name if isinstance(name, str) else None


def iterable(value: Iterable[T], name: str) -> Iterator[T]:
    """The items of anything that has some."""
    with suppress(TypeError):
        return iter(value)
    raise InvalidInputError(f"{name}: expected an iterable, got {shown(value)}")


def mapping(value: object, name: str) -> dict[str, Any]:
    """A mapping, as a dict of its own."""
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{name}: expected a mapping, got {shown(value)}")
    return dict(value)


def float_array(value: object, name: str, shape: str) -> NDArray[np.float64]:
    """Numbers as a plain float64 array of whatever shape; ``shape`` is for the message."""
    try:
        array = np.asarray(value)
        if array.dtype.kind in "biufO":
            return np.asarray(array, dtype=np.float64)
    except Exception as error:  # whatever an object raises that says it is an array
        raise InvalidInputError(
            f"{name}: expected numbers of shape {shape}, got {shown(value)}"
        ) from error
    raise InvalidInputError(f"{name}: expected numbers of shape {shape}, got {array.dtype}")


def finite_array(value: object, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Finite numbers of a shape, as float64."""
    array = float_array(value, name, str(shape))
    if array.shape != shape or not np.isfinite(array).all():
        raise InvalidInputError(
            f"{name}: expected finite numbers of shape {shape}, got {array.shape}"
        )
    return array


def _a(kind: type[Any]) -> str:
    name = kind.__name__
    return f"an {name}" if name[0] in "AEIOU" else f"a {name}"

"""From JSON to typed values and back.

A type is made a reader once; what is wrong with a value is said with the path to it.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import json
import math
import re
import types
import typing
from typing import Any, Callable, Literal, Union, get_args, get_origin, get_type_hints

from .failure import Failure

Reader = Callable[[Any], Any]

_MISSING = object()


class Mismatch(Exception):
    """A value is not what a type wants."""

    def __init__(self, says: str) -> None:
        super().__init__(says)
        self.says = says
        self.path: list[str] = []

    def under(self, step: str) -> Mismatch:
        """The same, seen from a value that this one is part of."""
        self.path.insert(0, step)
        return self

    def __str__(self) -> str:
        if not self.path:
            return self.says
        return f"`{''.join(self.path).removeprefix('.')}` {self.says}"


def no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_decoder = json.JSONDecoder(parse_constant=no_constant)

_MAX_DEPTH = 127
"""As deep as JSON may be nested, here as in the SDK for Rust. Under the host, more than some thousand would overflow
the stack, and
that is no `RecursionError`, but the end of the instance."""

_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[{]|[\]}]")


def _check_depth(text: str) -> None:
    # Most texts have not even as many characters, or brackets.
    if len(text) <= _MAX_DEPTH or text.count("[") + text.count("{") <= _MAX_DEPTH:
        return
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > _MAX_DEPTH:
            raise ValueError(f"it is nested too deep: by more than {_MAX_DEPTH}")


def parse(text: str) -> Any:
    """A JSON text's value.

    Raises `ValueError` if it is none. What is nested too deep counts as that too.
    """
    _check_depth(text)
    # As `decode` does it, but for spaces around the value: there are seldom any.
    try:
        value, end = _decoder.scan_once(text, 0)  # type: ignore[attr-defined]
    except StopIteration:
        return _decoder.decode(text)
    return value if end == len(text) else _decoder.decode(text)


def write(value: Any) -> str:
    """A value as JSON, without spaces. Dataclasses, sets and enums may be in it.

    Raises `ValueError` or `TypeError` if it cannot be written: numbers that are not finite, for example.
    """
    try:
        text = _encode(value)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    # What could not be read again.
    _check_depth(text)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("a string in it is no Unicode: it has half a surrogate pair") from None
    return text


def _plain(value: Any) -> Any:
    """What JSON has no word for, as something that it has one for."""
    own = getattr(value, "__carpe_write__", None)
    if own is not None:
        return own()
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # A subclass may have more: what is no field is no state.
        return {name: getattr(value, name) for name in _field_names(type(value))}
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, collections.abc.Mapping):
        return dict(value)
    if isinstance(value, collections.abc.Sequence) and not isinstance(value, (bytes, bytearray)):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_names: dict[type, tuple[str, ...]] = {}


def _field_names(of: type) -> tuple[str, ...]:
    names = _names.get(of)
    if names is None:
        names = _names[of] = tuple(field.name for field in dataclasses.fields(of))
    return names


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode


def shown(value: Any) -> str:
    """The beginning of a value's JSON, for people."""
    try:
        return _encode(value)[:40]
    except (ValueError, TypeError, RecursionError):
        return "a number that is not finite"


_readers: dict[tuple[Any, bool], Reader] = {}


def reader(of: Any, strict: bool = False) -> Reader:
    """What makes a value of a type from parsed JSON; raises `Mismatch`. If strict, dataclasses take no fields that
    they don't have.

    Raises `TypeError` for a type that cannot be read from JSON.
    """
    try:
        known = _readers.get((of, strict))
    except TypeError:  # A type that has no hash, e.g. `Annotated[int, []]`.
        return _make(of, strict)
    if known is None:
        # A type may contain itself: whoever asks meanwhile is given this.
        _readers[of, strict] = lambda value: _readers[of, strict](value)
        try:
            known = _readers[of, strict] = _make(of, strict)
        except BaseException:
            del _readers[of, strict]
            raise
    return known


def _make(of: Any, strict: bool) -> Reader:
    simple = _SIMPLE.get(of) if isinstance(of, collections.abc.Hashable) else None
    if simple is not None:
        return simple
    if isinstance(of, typing.NewType):
        return reader(of.__supertype__, strict)
    if isinstance(of, type) and not isinstance(of, types.GenericAlias):
        own = getattr(of, "__carpe_read__", None)
        if own is not None:
            return _own(own)
        if dataclasses.is_dataclass(of):
            return _dataclass(of, strict)
        if issubclass(of, enum.Enum):
            return _one_of({each.value: each for each in of})
    arguments = get_args(of)
    origin = get_origin(of) or of
    if origin is typing.Annotated:
        return reader(arguments[0], strict)
    if origin is Literal:
        return _one_of({each: each for each in arguments})
    if origin is Union or origin is types.UnionType:
        return _any_of([reader(each, strict) for each in arguments])
    if origin in (list, collections.abc.Sequence, collections.abc.MutableSequence):
        return _list(reader(arguments[0], strict) if arguments else _as_is, list)
    if origin in (set, frozenset):
        return _list(reader(arguments[0], strict) if arguments else _as_is, origin)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return _list(reader(arguments[0], strict), tuple)
        return _tuple([reader(each, strict) for each in arguments]) if arguments else _list(_as_is, tuple)
    if origin in (dict, collections.abc.Mapping, collections.abc.MutableMapping):
        key, value = arguments or (str, Any)
        return _dict(_key(key), reader(value, strict))
    if isinstance(of, typing.TypeAliasType) if hasattr(typing, "TypeAliasType") else False:
        return reader(of.__value__, strict)
    raise TypeError(f"{of!r} cannot be read from JSON: use dataclasses, lists, dicts, numbers and strings")


def _as_is(value: Any) -> Any:
    return value


def _expected(wanted: str, value: Any) -> Mismatch:
    return Mismatch(f"is {shown(value)}: it must be {wanted}")


def _bool(value: Any) -> Any:
    if value is True or value is False:
        return value
    raise _expected("true or false", value)


def _int(value: Any) -> Any:
    if type(value) is int:
        return value
    raise _expected("a whole number", value)


def _float(value: Any) -> Any:
    if type(value) is float or type(value) is int:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise _expected("a number", value)


def _str(value: Any) -> Any:
    if type(value) is str:
        return value
    raise _expected("a string", value)


def _none(value: Any) -> Any:
    if value is None:
        return value
    raise _expected("null", value)


_SIMPLE: dict[Any, Reader] = {
    Any: _as_is,
    object: _as_is,
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
    None: _none,
    type(None): _none,
}


def _own(read_value: Callable[[Any], Any]) -> Reader:
    def read(value: Any) -> Any:
        try:
            return read_value(value)
        except ValueError as error:
            raise _expected(str(error), value) from None

    return read


def _dataclass(of: type, strict: bool) -> Reader:
    hints = get_type_hints(of)
    fields = [
        (
            field.name,
            reader(hints[field.name], strict),
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(of)
        if field.init
    ]
    names = {name for name, _, _ in fields}

    def read(value: Any) -> Any:
        if type(value) is not dict:
            raise _expected("an object", value)
        arguments = {}
        for name, read_field, required in fields:
            given = value.get(name, _MISSING)
            if given is not _MISSING:
                try:
                    arguments[name] = read_field(given)
                except Mismatch as error:
                    raise error.under(f".{name}")
            elif required:
                raise Mismatch("is missing").under(f".{name}")
        if strict and len(arguments) < len(value):
            unknown = next(name for name in value if name not in names)
            known = ", ".join(f"`{name}`" for name, _, _ in fields) or "none"
            raise Mismatch(f"is unknown: there is {known}").under(f".{unknown}")
        return of(**arguments)

    return read


def _list(read_element: Reader, collection: Callable[[list[Any]], Any]) -> Reader:
    def read(value: Any) -> Any:
        if type(value) is not list:
            raise _expected("a list", value)
        elements = []
        for at, element in enumerate(value):
            try:
                elements.append(read_element(element))
            except Mismatch as error:
                raise error.under(f"[{at}]")
        return elements if collection is list else collection(elements)

    return read


def _tuple(readers: list[Reader]) -> Reader:
    def read(value: Any) -> Any:
        if type(value) is not list or len(value) != len(readers):
            raise _expected(f"a list of {len(readers)}", value)
        elements = []
        for at, (read_element, element) in enumerate(zip(readers, value)):
            try:
                elements.append(read_element(element))
            except Mismatch as error:
                raise error.under(f"[{at}]")
        return tuple(elements)

    return read


def _dict(read_key: Reader, read_value: Reader) -> Reader:
    def read(value: Any) -> Any:
        if type(value) is not dict:
            raise _expected("an object", value)
        read = {}
        for name, each in value.items():
            try:
                read[read_key(name)] = read_value(each)
            except Mismatch as error:
                raise error.under(f".{name}")
        return read

    return read


def _key(of: Any) -> Reader:
    """Names in JSON are strings: numbers are written in digits."""
    if of in (str, Any):
        return _as_is
    if of is int:

        def read(name: Any) -> Any:
            try:
                return int(name)
            except ValueError:
                raise Mismatch("must have a whole number for its name") from None

        return read
    return reader(of)


def _one_of(values: dict[Any, Any]) -> Reader:
    wanted = "one of " + ", ".join(shown(each) for each in values)
    by_type = {(type(key), key): value for key, value in values.items()}

    def read(value: Any) -> Any:
        try:
            return by_type[type(value), value]
        except (KeyError, TypeError):
            raise _expected(wanted, value) from None

    return read


def _any_of(readers: list[Reader]) -> Reader:
    def read(value: Any) -> Any:
        failed = None
        for each in readers:
            try:
                return each(value)
            except Mismatch as error:
                # The one that came furthest says most.
                if failed is None or len(error.path) > len(failed.path):
                    failed = error
        raise failed or _expected("nothing", value)

    return read


def read_text(read_value: Reader, text: str, whose: str) -> Any:
    """Reads a JSON text as a type. Raises `Failure` that says whose text it is."""
    try:
        return read_value(parse(text))
    except Mismatch as error:
        raise Failure(f"{whose}: {error}" if error.path else f"{whose} {error}") from None
    except ValueError as error:
        raise Failure(f"{whose} is not valid JSON: {error}") from None

"""Bytes to structs, strictly: what is not of the declared form is refused with a pointer to every place, never guessed.

Refused are unknown fields and duplicate keys, other types, NaN and numbers past the range, text that is not UTF-8 or holds
half a surrogate pair, and nesting deeper than 100. No message repeats what was sent.
"""

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from serving.edge.problem import Problem

__all__ = ["decoded", "parameters"]

MOST_ERRORS = 20
MOST_DEPTH = 100
TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"')
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
NOT_JSON = "the body is not JSON in UTF-8"
NOT_OF_FORM = "the request is not of the documented form"
Asked = TypeVar("Asked", bound=msgspec.Struct)


def decoded(body: bytes, form: type[Asked]) -> Asked:
    """The struct a body holds. Raises `Problem` 400 for what is no JSON, and 422 with pointers for another form."""
    try:
        asked = msgspec.json.decode(body, type=form)
    except (msgspec.ValidationError, RecursionError) as error:  # no form is deep: what is deep is here
        if _depth(body) > MOST_DEPTH:
            raise Problem(400, f"the body is nested deeper than {MOST_DEPTH}", reason="depth") from None
        if isinstance(error, RecursionError):
            raise Problem(400, NOT_JSON, reason="not_json") from None
        raise Problem(422, NOT_OF_FORM, _errors(body, form) or [_said(error)], reason="form") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Problem(400, NOT_JSON, reason="not_json") from None
    if twice := _twice(body):
        raise Problem(422, NOT_OF_FORM, twice, reason="form")
    return asked


def parameters(given: list[tuple[str, str]], form: type[Asked]) -> Asked:
    """The struct that path and query parameters make; each may stand once."""
    values = dict(given)
    if len(values) < len(given):
        raise Problem(422, NOT_OF_FORM, [("", "a parameter stands twice")], reason="form")
    try:
        return msgspec.convert(values, form, strict=False)
    except msgspec.ValidationError as error:
        found = list(_within(values, form, "", strict=False))
        raise Problem(422, NOT_OF_FORM, found[:MOST_ERRORS] or [_said(error)], reason="form") from None


def _depth(body: bytes) -> int:
    deepest = depth = 0
    for bracket in TEXTS.sub(b"", body).translate(None, NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _twice(body: bytes) -> list[tuple[str, str]]:
    """Whether a key stands twice in one object: decoders keep the last without a word."""
    try:
        _EACH_ONCE.decode(body.decode())
    except _Twice:
        return [("", "a key stands twice in one object")]
    return []


class _Twice(Exception):
    pass


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        raise _Twice


_EACH_ONCE = json.JSONDecoder(object_pairs_hook=_once)


def _errors(body: bytes, form: type) -> list[tuple[str, str]]:
    """Every place that is wrong, as far as they can be told apart; msgspec itself stops at the first."""
    try:
        return list(_first(_within(msgspec.json.decode(body), form, "", strict=True)))
    except msgspec.ValidationError:  # a number past the range, which no untyped value can hold
        return []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem(400, NOT_JSON, reason="not_json") from None


def _first(errors: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for _, error in zip(range(MOST_ERRORS), errors, strict=False):
        yield error


def _within(value: Any, form: Any, pointer: str, *, strict: bool) -> Iterator[tuple[str, str]]:
    """Errors of a value: those of its fields or items where it has some, else its own."""
    try:
        msgspec.convert(value, form, strict=strict)
        return
    except msgspec.ValidationError as error:
        own = _said(error)
    inner = list(_first(_parts(value, form, pointer, strict)))
    yield from inner or [(pointer + own[0], own[1])]


def _parts(value: Any, form: Any, pointer: str, strict: bool) -> Iterator[tuple[str, str]]:
    shape = msgspec.inspect.type_info(form)
    options = shape.types if isinstance(shape, msgspec.inspect.UnionType) else (shape,)
    for option in options:
        if isinstance(option, msgspec.inspect.StructType) and isinstance(value, dict):
            if option.tag_field is None:
                yield from _fields(value, option, pointer, strict)
        elif isinstance(option, msgspec.inspect.ListType) and isinstance(value, list):
            item = _item(form)
            for place, one in enumerate(value) if item is not None else ():
                yield from _within(one, item, f"{pointer}/{place}", strict=strict)


def _fields(value: dict[str, Any], shape: Any, pointer: str, strict: bool) -> Iterator[tuple[str, str]]:
    hints = get_type_hints(shape.cls, include_extras=True)
    known = {field.encode_name: field for field in shape.fields}
    if any(name not in known for name in value):
        yield pointer, f"there are fields that are not known; known are: {', '.join(known) or 'none'}"
    for name, field in known.items():
        if name in value:
            yield from _within(value[name], hints[field.name], f"{pointer}/{name}", strict=strict)
        elif field.required:
            yield f"{pointer}/{name}", "is required"


def _item(form: Any) -> Any:
    """The type of a list's items, with its constraints: that of `Annotated[list[X], ...] | None` is X."""
    if get_origin(form) is list:
        return get_args(form)[0]
    inside = (get_args(form)[0],) if get_origin(form) is Annotated else get_args(form)
    return next((found for one in inside if (found := _item(one)) is not None), None)


def _said(error: msgspec.ValidationError) -> tuple[str, str]:
    """`Expected ... - at `$.customer_ids[3]`` as (/customer_ids/3, Expected ...)."""
    what, _, where = str(error).partition(" - at ")
    pointer = re.sub(r"[.\[]", "/", where.strip("`").removeprefix("$")).replace("]", "")
    return pointer.partition("/...")[0], _without_values(what)  # `...` stands for a key that was sent


def _without_values(what: str) -> str:
    """What msgspec says, where that repeats nothing that was sent; field names and values may be anything."""
    if "unknown field" in what:
        return "there are fields that are not known"
    return "is not one of the known values" if what.startswith("Invalid") and "'" in what else what

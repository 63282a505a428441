"""JSON that nothing behind it stumbles over: no numbers without end, no nesting without end, text that is text."""

import json
from collections.abc import Iterator
from typing import Any, NoReturn

MAX_DEPTH = 64
MAX_DIGITS = 64
"""Characters of a number."""


class JsonError(ValueError):
    """A document is refused; the text says where."""


def parse_json(data: str | bytes) -> Any:
    """Lists, mappings and scalars of a document.

    Args:
        data: JSON, as bytes in UTF-8.

    Raises:
        JsonError: Not JSON; a number that is not finite or has more than `MAX_DIGITS` characters; nested deeper than
            `MAX_DEPTH`; or half of a character that takes two.
    """
    try:
        text = data if isinstance(data, str) else data.decode()
        document = json.loads(text, parse_int=_whole, parse_float=_real, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise JsonError(f"not JSON: {error.msg}, column {error.colno}") from None
    except UnicodeDecodeError:
        raise JsonError("not JSON: not text in UTF-8") from None
    except RecursionError:
        raise JsonError(f"nested deeper than {MAX_DEPTH} times") from None
    if "\\u" in text:
        _refuse_half_characters(document)
    if max(text.count("["), text.count("{")) * 2 > MAX_DEPTH:
        _refuse_depth(document)
    return document


def _whole(digits: str) -> int:
    _refuse_long(digits)
    return int(digits)


def _real(digits: str) -> float:
    _refuse_long(digits)
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise JsonError(f"{digits} is too large a number")
    return value


def _refuse_long(digits: str) -> None:
    if len(digits) > MAX_DIGITS:
        raise JsonError(f"a number of more than {MAX_DIGITS} characters")


def _refuse_constant(word: str) -> NoReturn:
    raise JsonError(f"{word} is not a number of JSON")


def _refuse_depth(document: Any) -> None:
    level, depth = [document], 0
    while level:
        level = [inner for value in level for inner in _within(value)]
        depth += 1
        if depth > MAX_DEPTH + 1:
            raise JsonError(f"nested deeper than {MAX_DEPTH} times")


def _refuse_half_characters(document: Any) -> None:
    waiting = [document]
    while waiting:
        value = waiting.pop()
        waiting += _within(value)
        texts = value.keys() if isinstance(value, dict) else [value] if isinstance(value, str) else []
        if any("\ud800" <= character <= "\udfff" for text in texts for character in text):
            raise JsonError("a text with half of a character in it")


def _within(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value

"""Seeded changes of valid documents and of bytes: mostly small, so that what is behind the first check is reached."""

import copy
import random
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 7, 2**31, 2**53, 2**63, 2**64 - 1, 10**30, 10**400, -(10**30),
    0.5, -0.0, 1e-320, 1e12, 1e15, 1e300, -1e300, float("inf"), float("-inf"), float("nan"),
    "", " ", "a", "\0", "\ud800", "\u2028", "\x85", "\x1b[2J", "\r\n", "x" * 300, "9" * 5000,
    "../../etc/passwd", "/dev/zero",
    "${HOME}", "${file:/dev/zero}", "${file:\0}", "${", "2026-02-30", "9999-12-31T23:59:59-12:00",
    "0001-01-01T00:00:00+14:00", "rtsp://u:p@[::1", "http://h:99999/", "0x10", "1e999", "010", "1:30", ".inf",
    [], {}, [[]], [[[[[[[[]]]]]]]], {"a": {"b": {"c": {}}}}, {"": ""}, {"use": "hog"}, {"use": ""}, [1, 2, 3, 4],
)  # fmt: skip

TOKENS = (
    b"\0", b"\xff", b"\xff\xda", b"\xff\xd8", b"PK\x03\x04", b"PK\x01\x02", b"{", b"[" * 200, b"*a", b"&a ", b"<<: *a",
    b"!!int ", b"!!binary ", b"!!python/object:os.system ", b": ", b"\n", b"\r", b"\xe2\x80\xa8", b"9" * 100, b"1e999",
    b"NaN", b'"', b"'", b"---\n", b"\xef\xbb\xbf", b"\\ud800", b"-1", b",", b"\x7f" * 8, b"\xff" * 8,
)  # fmt: skip


def changed(rng: random.Random, document: Any) -> Any:
    """A copy of lists, mappings and scalars with one to three changes."""
    made = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        _change(rng, made)
    return made


def garbled(rng: random.Random, data: bytes) -> bytes:
    """Bytes with one to eight changes."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        _garble(rng, made)
    return bytes(made)


def _change(rng: random.Random, document: Any) -> None:
    places = list(_places(document))
    if not places:
        return
    holder, key = rng.choice(places)
    how = rng.randrange(6)
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, dict):
        holder[rng.choice((f"{key}x", "zzz", "", "use", 7))] = copy.deepcopy(rng.choice(ODD))
    elif how == 2:
        other, there = rng.choice(places)
        holder[key] = copy.deepcopy(other[there]) if there in _keys(other) else None
    elif how == 3 and isinstance(holder, list):
        holder.extend(copy.deepcopy(holder) * rng.choice((1, 1, 40)))
    elif how == 4 and isinstance(holder[key], int | float):
        factor = rng.choice((-1, 0.5, 2, 1000, 1e6, 1e20))
        if abs(holder[key]) > 1e300:  # some are whole numbers beyond any float
            factor = -1
        holder[key] = holder[key] * factor + rng.choice((0, 1, -1))
    else:
        holder[key] = copy.deepcopy(rng.choice(ODD))


def _places(document: Any) -> Any:
    """Every (list or mapping, index or key) within."""
    for key in _keys(document):
        yield document, key
        yield from _places(document[key])


def _keys(document: Any) -> list[Any]:
    if isinstance(document, dict):
        return list(document)
    return list(range(len(document))) if isinstance(document, list) else []


def _garble(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    end = min(len(data), at + rng.choice((1, 2, 4, 16, 256)))
    how = rng.randrange(7)
    if how == 0 and at < len(data):
        data[at] ^= 1 << rng.randrange(8)
    elif how == 1 and at < len(data):
        data[at] = rng.randrange(256)
    elif how == 2:
        del data[at:end]
    elif how == 3:
        data[at:at] = data[at:end] * rng.choice((1, 2, 20))
    elif how == 4:
        data[at:at] = rng.choice(TOKENS)
    elif how == 5:
        data[at:end] = rng.randbytes(end - at)
    elif rng.random() < 0.2:
        del data[at:]

"""YAML that could be read in two ways, or never ends, is refused with its line and column."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError
from pipeline.settings import MAX_YAML_BYTES, read_yaml
from pipeline.strict_yaml import YamlError, parse_yaml

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{key}: &{key} [{','.join([f'*{before}'] * 10)}]\n" for before, key in zip("abcd", "bcde", strict=True)
)


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("", None),
        ("a: [1, -2, 0, 0.5, 1.0e+3, 0x10, true, null, x]", {"a": [1, -2, 0, 0.5, 1000.0, 16, True, None, "x"]}),
        ("a: '010'\nb: '1:30'\nc: 127.0.0.1:80", {"a": "010", "b": "1:30", "c": "127.0.0.1:80"}),
        ("a: &o {x: 1}\nb: {<<: *o, y: 2}\nc: [*o, *o]", {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": [{"x": 1}] * 2}),
        ("a: &one {x: 1}\nb: {<<: *one, x: 2}\nc: {<<: *one, x: 3}", {"a": {"x": 1}, "b": {"x": 2}, "c": {"x": 3}}),
        ("a: 2026-11-30", {"a": date(2026, 11, 30)}),
        ("\ufeffa: 1", {"a": 1}),
    ],
)  # fmt: skip
def test_what_says_one_thing_is_read(text: str, document: Any) -> None:
    assert parse_yaml(text) == document


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("a: 1\nb: 2\na: 3", (3, 1), "the key 'a' stands twice, first in line 1"),
        ("x:\n  - {k: 1, 'k': 2}", (2, 12), "'k' stands twice"),
        ("1: a\n'1': b", (2, 1), "'1' stands twice"),
        ("a: 1\nb: 2026-02-30", (2, 4), "cannot be read as timestamp"),
        ("b: !!int x", (1, 4), "cannot be read as int"),
        ("b: !!float x", (1, 4), "cannot be read as float"),
        ("b: !!bool x", (1, 4), "cannot be read as bool"),
        ("b: !!timestamp x", (1, 4), "cannot be read as timestamp"),
        ("b: !!binary '\u00e9'", (1, 4), "bytes"),
        ("b: !!python/object:os.system x", (1, 4), "constructor"),
        ("site: &a [*a]", (1, 11), "inside of what it repeats"),
        ("site: &a {<<: *a}", (1, 15), "inside of what it repeats"),
        ("b: *nobody", (1, 4), "undefined alias"),
        (BOMB, (4, 29), "aliases repeat more than 10000 values"),
        ("[" * 100_000, (1, 51), "nested deeper than 50"),
        ("- " * 100_000, (1, 101), "nested deeper than 50"),
        ("a: 010", (1, 4), "can be read in two ways"),
        ("a: 1:30", (1, 4), "can be read in two ways"),
        ("a: 1:30.5", (1, 4), "can be read in two ways"),
        ("a: " + "9" * 5000, (1, 4), "more than 64 characters"),
        ("a: [1, 2", (1, 9), "expected"),
        ("a: 1\nb: \x07", (2, 1), r"U\+0007"),
        ('a: 1\nb: "\\ud800"', (2, 7), "Unicode"),
        ("? [a]\n: 1", (1, 3), "unhashable"),
        ("a: 1\n---\nb: 2", (2, 1), "another document"),
    ],
)
def test_what_could_surprise_is_refused_with_its_place(
    text: str, place: tuple[int, int], problem: str
) -> None:
    with pytest.raises(YamlError, match=problem) as caught:
        parse_yaml(text)
    assert (caught.value.line, caught.value.column) == place


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a: 1\na: 2\n", "c.yaml, line 2, column 1: the key 'a'"),
        (b"a: 1\nb: \xff", "c.yaml, line 2: not a file, which is text in UTF-8"),
        (b"#" * (MAX_YAML_BYTES + 1), "c.yaml has more than 1000000 bytes"),
    ],
)
def test_a_file_is_named_with_the_place(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_yaml(tmp_path / "c.yaml")
    assert says in str(caught.value)


def test_bytes_are_refused_with_their_place() -> None:
    with pytest.raises(YamlError, match="bytes cannot stand here") as refused:
        parse_yaml("a: 1\nb: {!!binary pictures: 128}")
    assert refused.value.line == 2

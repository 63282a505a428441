"""YAML without surprises: what could be read in two ways, or never ends, is refused with its line and column."""

import re
from typing import Any

import yaml
from yaml._yaml import CParser
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

MAX_COPIED = 10_000
"""Nodes that aliases may add to a document."""
MAX_DEPTH = 50
MAX_NUMBER = 64
"""Characters of a number."""

_NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
_MERGE = "tag:yaml.org,2002:merge"
_BINARY = "tag:yaml.org,2002:binary"
_TWO_READINGS = re.compile(r"[-+]?0[0-9_]+|.*:.*")
"""Numbers that YAML 1.1 takes for octal or for minutes and seconds, and people do not."""


class YamlError(ValueError):
    """A document is refused; line and column count from 1, 0 = the document as a whole."""

    def __init__(self, problem: str, line: int = 0, column: int = 0) -> None:
        super().__init__(problem)
        self.line, self.column = line, column


def parse_yaml(text: str) -> Any:
    """Lists, mappings and scalars of a document.

    Aliases and merge keys may be used, with bounds. Refused are: a key that stands twice in a mapping; numbers that
    can be read in two ways; what its tag cannot be made of, such as a date that no calendar has.

    Raises:
        YamlError: It is not YAML, or one of these.
    """
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "not YAML"
        raise YamlError(problem, *_place(mark, text)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(f"a character that may not be here: U+{int(error.character):04X}", line, 1) from None
    except RecursionError:
        raise YamlError(f"nested deeper than {MAX_DEPTH} times") from None


def _place(mark: yaml.Mark | None, text: str) -> tuple[int, int]:
    """Line and column from 1; the end of a document without a last line break is in its last line."""
    if mark is None:
        return 0, 0
    lines = text.split("\n")
    if mark.line >= len(lines):
        return len(lines), len(lines[-1]) + 1
    return int(mark.line) + 1, int(mark.column) + 1


class _Loader(Composer, CParser, SafeConstructor, Resolver):
    """Counts what aliases copy, and looks at every mapping before keys are merged into it."""

    def __init__(self, text: str) -> None:
        CParser.__init__(self, text)
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)
        self._sizes: dict[int, int] = {}  # nodes that a finished node unfolds to, by its id
        self._copied = 0
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            return self._compose_alias(parent, index)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _refused(f"nested deeper than {MAX_DEPTH} times", self._next_event().start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.MappingNode):
            _refuse_twins(node)
        self._sizes[id(node)] = 1 + sum(self._sizes[id(child)] for child in _children(node))
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        _refuse_odd_number(node)
        if node.tag == _BINARY:
            raise _refused("bytes cannot stand here: write text", node.start_mark)
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, OverflowError, KeyError, AttributeError):
            kind = node.tag.rpartition(":")[2]
            raise _refused(f"this cannot be read as {kind}", node.start_mark) from None

    def _next_event(self) -> Any:
        parser: Any = self  # untyped in the stubs
        return parser.peek_event()

    def _compose_alias(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self._next_event()
        node = super().compose_node(parent, index)
        if id(node) not in self._sizes:
            raise _refused(f"*{event.anchor} stands inside of what it repeats", event.start_mark)
        self._copied += self._sizes[id(node)]
        if self._copied > MAX_COPIED:
            raise _refused(f"aliases repeat more than {MAX_COPIED} values", event.start_mark)
        return node


def _children(node: yaml.Node | None) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _refuse_twins(node: yaml.MappingNode) -> None:
    first: dict[str, yaml.Node] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            continue
        other = first.setdefault(key.value, key)
        if other is not key:
            line = other.start_mark.line + 1
            raise _refused(f"the key {key.value!r} stands twice, first in line {line}", key.start_mark)


def _refuse_odd_number(node: yaml.Node) -> None:
    if node.tag not in _NUMBERS or not isinstance(node, yaml.ScalarNode):
        return
    if len(node.value) > MAX_NUMBER:
        raise _refused(f"a number of more than {MAX_NUMBER} characters", node.start_mark)
    if _TWO_READINGS.fullmatch(node.value):
        problem = (
            f"{node.value} can be read in two ways: write the plain number, or put it in quotation marks"
        )
        raise _refused(problem, node.start_mark)


def _refused(problem: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)

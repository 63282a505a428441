"""From attributes of a person to the sentence that a text tower reads.

The names are those of `attributes.jsonl` (see `musewatch world crops`); values are free words, put in as they are.
"""

import difflib
from collections.abc import Mapping, Sequence

from pipeline.errors import ConfigError

_COLOURED = {"hair": "hair_colour", "upper": "upper_colour", "lower": "lower_colour", "shoes": "shoe_colour",
             "hat": "hat_colour", "bag": "bag_colour", "prop": "prop_colour"}  # fmt: skip
_THINGS = {
    "upper": "top",
    "lower": "trousers",
    "shoes": "shoes",
    "hat": "hat",
    "bag": "bag",
    "prop": "object",
}
NAMES = ("gender", "age", "shape", "upper_pattern", *(name for pair in _COLOURED.items() for name in pair))


def parse_attributes(pairs: Sequence[str]) -> dict[str, str]:
    """Attributes by name from `NAME=VALUE` each.

    Raises:
        ConfigError: Not of that form, a name that is unknown or comes twice, or an empty value.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, _, value = (part.strip() for part in pair.partition("="))
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5)
            fix = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(NAMES)}"
            raise ConfigError(f"--attr {pair!r}: no attribute is called {name!r}", fix)
        if not value or name in found:
            problem = "comes twice" if value else "has no value"
            raise ConfigError(f"--attr {pair!r}: {name} {problem}", "give each attribute once, as NAME=VALUE")
        found[name] = value
    return found


def sentence(attributes: Mapping[str, str]) -> str:
    """One sentence that says all of them, in one order; what is not known is left out.

    >>> sentence({"gender": "woman", "upper": "hoodie", "upper_colour": "red", "lower": "jeans", "hair": "long"})
    'A photo of a woman with long hair, wearing a red hoodie and jeans.'
    >>> sentence({"age": "elderly", "bag": "backpack", "prop": "umbrella"})
    'A photo of an elderly person, carrying a backpack and an umbrella.'
    >>> sentence({"lower_colour": "blue", "upper_pattern": "striped"})
    'A photo of a person, wearing a striped top and blue trousers.'
    """
    person = " ".join(attributes[key] for key in ("age", "shape") if key in attributes)
    person = _one(f"{person} {attributes.get('gender', 'person')}".strip())
    hair = [attributes[key] for key in ("hair", "hair_colour") if key in attributes]
    if hair:
        person += f" with {' '.join(hair)} hair"
    worn = _things(attributes, ("upper", "lower", "shoes", "hat"))
    carried = _things(attributes, ("bag", "prop"))
    clauses = [f"A photo of {person}"]
    clauses += [f"wearing {worn}"] if worn else []
    clauses += [f"carrying {carried}"] if carried else []
    return f"{', '.join(clauses)}."


def _things(attributes: Mapping[str, str], names: Sequence[str]) -> str:
    found = [thing for name in names if (thing := _thing(attributes, name))]
    *first, last = found or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _thing(attributes: Mapping[str, str], name: str) -> str:
    told = [attributes[key] for key in (_COLOURED[name], f"{name}_pattern") if key in attributes]
    if not told and name not in attributes:
        return ""
    return _one(" ".join([*told, attributes.get(name, _THINGS[name])]))


def _one(noun: str) -> str:
    """With its article, where it is not plural."""
    if noun.endswith("s") and not noun.endswith("ss"):
        return noun
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"

"""Hard cases on purpose: like clothes, changed clothes, uniforms, props, groups that touch, only backs, low light."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.errors import ConfigError
from trainers.world.domains import Domain
from trainers.world.looks import Look, Outfit, sample_outfit, wearing

Change = Callable[[list[Look], str], list[Look]]
TWINS = 4  # people who share one outfit
STAFF = Outfit(
    seed=1, upper="shirt", upper_colour="teal", upper_colour2="white", upper_pattern="solid", sleeve=0.4,
    lower="trousers", lower_colour="black", lower_pattern="solid", lower_length=0.3, shoes="sneakers",
    shoe_colour="black", hat="cap", hat_colour="teal", glasses="none", bag="none", bag_colour="black",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hardness:
    """What makes pictures hard beyond the people's looks.

    Attributes:
        name: Of `HARD_CASES`; "none" = nothing.
        groups: People touch: crops have passers-by close by, scenes and clips have pairs.
        from_behind: Only backs are seen.
        dark: Too little light.
    """

    name: str = "none"
    groups: bool = False
    from_behind: bool = False
    dark: bool = False


def harden(looks: list[Look], hardness: Hardness, wardrobe: str) -> list[Look]:
    """The same people, dressed and equipped as the case wants."""
    change = _LOOKS.get(hardness.name)
    return change(looks, wardrobe) if change else looks


def darkened(domain: Domain, hardness: Hardness) -> Domain:
    """The domain with too little light for its sensor, if the case wants that."""
    if not hardness.dark:
        return domain
    style = domain.style
    dim = dataclasses.replace(
        style, exposure=style.exposure * 0.35, shot=style.shot * 6, read=style.read * 12
    )
    return dataclasses.replace(domain, style=dim)


def find_case(name: str) -> Hardness:
    """A hard case by name.

    Raises:
        ConfigError: No such case; the message lists those that are.
    """
    if name not in HARD_CASES:
        raise ConfigError(f"no hard case {name!r}", f"there are {', '.join(HARD_CASES)}")
    return HARD_CASES[name]


def _like_clothes(looks: list[Look], wardrobe: str) -> list[Look]:
    """Every four people wear the clothes of the first; hats, glasses and bags stay."""
    return [wearing(look.body, looks[i - i % TWINS].outfit, look.outfit) for i, look in enumerate(looks)]


def _changed_clothes(looks: list[Look], wardrobe: str) -> list[Look]:
    """Every four are one person in other clothes, of summer and winter by turns."""
    out = []
    for i, look in enumerate(looks):
        body = looks[i - i % TWINS].body
        out.append(Look(body, sample_outfit(look.outfit.seed, body, ("summer", "winter")[i % 2])))
    return out


def _uniforms(looks: list[Look], wardrobe: str) -> list[Look]:
    """Everybody in the staff's clothes."""
    return [
        wearing(look.body, STAFF, dataclasses.replace(look.outfit, hat="cap", hat_colour="teal"))
        for look in looks
    ]


def _with_prop(*props: str) -> Change:
    def equip(looks: list[Look], wardrobe: str) -> list[Look]:
        colours = ("black", "red", "navy blue", "yellow", "green", "grey")
        out = []
        for i, look in enumerate(looks):
            colour = colours[int(np.random.default_rng([80, look.body.seed]).integers(len(colours)))]
            outfit = dataclasses.replace(
                look.outfit, bag="none", prop=props[i % len(props)], prop_colour=colour
            )
            out.append(Look(look.body, outfit))
        return out

    return equip


_LOOKS: dict[str, Change] = {
    "like-clothes": _like_clothes,
    "changed-clothes": _changed_clothes,
    "uniforms": _uniforms,
    "umbrellas": _with_prop("umbrella"),
    "wheels": _with_prop("wheelchair", "pushchair"),
}
HARD_CASES: dict[str, Hardness] = {
    "none": Hardness(),
    **{name: Hardness(name) for name in _LOOKS},
    "groups": Hardness("groups", groups=True),
    "from-behind": Hardness("from-behind", from_behind=True),
    "low-light": Hardness("low-light", dark=True),
}

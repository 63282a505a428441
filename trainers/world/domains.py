"""The domains: a place, a sensor and a wardrobe each, any domain drawn from a seed, and whose seeds are whose."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from pipeline.errors import ConfigError
from trainers.world.camera import Mount
from trainers.world.places import Place
from trainers.world.scenery import SCENES
from trainers.world.sensor import STYLES, Style, random_style
from trainers.world.wardrobe import WARDROBES

SPLIT_SEEDS = {
    "train": range(0, 100_000_000),  # encoders, detectors
    "pretrain": range(100_000_000, 200_000_000),  # the verifier's broad training, on random domains
    "calibrate": range(200_000_000, 300_000_000),  # operating points
    "test": range(300_000_000, 400_000_000),  # what is reported
    "demo": range(400_000_000, 500_000_000),  # clips that are shown or shipped
}
HELD_OUT = frozenset({"park"})  # nothing that ships is trained on these domains
PEOPLE_PER_SEED = 10_000  # identities that one --seed of a split may use
RANDOM = "random-"
LOWEST_M, HIGHEST_M, BELOW_CEILING_M = 2.0, 4.5, 0.1  # of the cameras of a random domain


@dataclass(frozen=True, slots=True)
class Domain:
    """How a part of the world looks; the three parts are independent.

    Attributes:
        scene: A name of `SCENES`. style: The sensor. wardrobe: A name of `WARDROBES`.
        variation: 0 = the place as designed; else the seed of its colours, light and camera heights.
    """

    name: str
    scene: str
    style: Style
    wardrobe: str
    variation: int = 0

    @property
    def infrared(self) -> bool:
        """Its cameras see near infrared."""
        return self.style.infrared

    def place(self) -> Place:
        """The place with its light and cameras; equal domains give equal places."""
        if not self.variation:
            return SCENES[self.scene](np.random.default_rng(0), 0.0)
        rng = np.random.default_rng([20, self.variation])
        return _varied(SCENES[self.scene](rng, 0.45), rng)


DOMAINS: dict[str, Domain] = {
    domain.name: domain
    for domain in (
        Domain("hall", "hall", STYLES["hall"], "summer"),
        Domain("street", "street", STYLES["street"], "winter"),
        Domain("night", "street-night", STYLES["night"], "winter"),
        Domain("infrared", "street-night", STYLES["infrared"], "winter"),
        Domain("garage", "garage", STYLES["garage"], "mixed"),
        Domain("park", "park", STYLES["park"], "summer"),
    )
}


def random_domain(seed: int) -> Domain:
    """Any domain: its place repainted and relit, its sensor and its wardrobe drawn from a seed."""
    rng = np.random.default_rng([21, seed])
    scenes = [name for name in SCENES if name not in HELD_OUT and name != "street-night"]
    return Domain(
        f"{RANDOM}{seed}",
        str(rng.choice(scenes)),
        random_style(rng),
        str(rng.choice(list(WARDROBES))),
        seed + 1,
    )


def find_domain(
    name: str, scene: str | None = None, style: str | None = None, wardrobe: str | None = None
) -> Domain:
    """A domain by name, or `random-N`, with parts exchanged for those of others.

    Raises:
        ConfigError: A name that does not exist; the message lists those that do.
    """
    number = name.removeprefix(RANDOM)
    if name.startswith(RANDOM) and number.isdecimal():
        found = random_domain(int(number))
    else:
        found = DOMAINS[_known("domain", name, [*DOMAINS, f"{RANDOM}N"])]
    if scene is not None:
        found = dataclasses.replace(found, scene=_known("scene", scene, list(SCENES)))
    if style is not None:
        found = dataclasses.replace(found, style=STYLES[_known("style", style, list(STYLES))])
    if wardrobe is not None:
        found = dataclasses.replace(found, wardrobe=_known("wardrobe", wardrobe, list(WARDROBES)))
    return found


def identity_seeds(split: str, seed: int, people: int) -> range:
    """Seeds of the bodies that a command may use: no two splits, and no two seeds of one, share any.

    Raises:
        ConfigError: No such split, too many people, or a seed past the split's end.
    """
    pool = SPLIT_SEEDS[_known("split", split, list(SPLIT_SEEDS))]
    seeds = len(pool) // PEOPLE_PER_SEED
    if not 0 <= seed < seeds:
        raise ConfigError(f"seed {seed} is outside the split {split!r}", f"give 0 to {seeds - 1}")
    if not 1 <= people <= PEOPLE_PER_SEED:
        raise ConfigError(f"{people} people at one seed", f"give 1 to {PEOPLE_PER_SEED}")
    start = pool.start + seed * PEOPLE_PER_SEED
    return range(start, start + people)


def _known(what: str, name: str, names: list[str]) -> str:
    if name not in names:
        raise ConfigError(f"no {what} {name!r}", f"there are {', '.join(names)}")
    return name


def _varied(place: Place, rng: np.random.Generator) -> Place:
    """Other light and other camera heights."""
    cast = np.exp(rng.normal(0, 0.15, 4))
    key = place.light.key + (*rng.normal(0, 0.4, 2), 0.0)
    lit = place.light._replace(
        key=key / np.linalg.norm(key),
        key_colour=place.light.key_colour * cast * rng.uniform(0.3, 1.6),
        soft=float(rng.uniform(0.03, 0.5)),
        above=place.light.above * np.exp(rng.normal(0, 0.2)) * cast,
        below=place.light.below * np.exp(rng.normal(0, 0.2)) * cast,
    )
    highest = min(HIGHEST_M, place.ceiling - BELOW_CEILING_M)
    mounts = tuple(_moved(mount, highest, rng) for mount in place.mounts)
    return dataclasses.replace(place, light=lit, mounts=mounts)


def _moved(mount: Mount, highest: float, rng: np.random.Generator) -> Mount:
    x, y, z = mount.position
    to_x, to_y = (float(c + rng.normal(0, 0.8)) for c in mount.target[:2])
    lens = mount.hfov_deg * float(rng.uniform(0.85, 1.2))
    return Mount(
        (x, y, float(np.clip(z + rng.normal(0, 0.5), LOWEST_M, highest))), (to_x, to_y, mount.target[2]), lens
    )

"""The colours of one look as dyed, and what near infrared sees of each garment."""

from dataclasses import dataclass

import numpy as np

from trainers.world.compiled import F64
from trainers.world.looks import Look
from trainers.world.patterns import infrared, tint
from trainers.world.wardrobe import COLOURS, DENIM, HAIR_COLOURS, SKINS


@dataclass(frozen=True, slots=True)
class Dyes:
    """The colours of one look as dyed, with the near infrared of each garment."""

    skin: F64
    hair: F64
    upper: F64
    upper2: F64
    lower: F64
    shoes: F64
    hat: F64
    bag: F64
    prop: F64
    upper_nir: float
    upper2_nir: float
    lower_nir: float
    shoes_nir: float
    hat_nir: float
    bag_nir: float
    prop_nir: float
    seed: int


def dye(look: Look) -> Dyes:
    """Draws them; clothes by the outfit's seed, so that like clothes are alike on everybody."""
    body, outfit = look.body, look.outfit
    own, cut = np.random.default_rng([5, body.seed]), np.random.default_rng([6, outfit.seed])
    upper, upper2 = tint(COLOURS[outfit.upper_colour], cut), tint(COLOURS[outfit.upper_colour2], cut)
    lower = tint((DENIM if outfit.lower == "jeans" else COLOURS)[outfit.lower_colour], cut)
    if outfit.upper in ("dress", "suit"):
        lower = upper
    shoes = tint(COLOURS[outfit.shoe_colour], cut, 6)
    skin, hair = tint(SKINS[body.skin], own, 4), tint(HAIR_COLOURS[body.hair_colour], own, 6)
    carried = np.random.default_rng([7, body.seed, outfit.seed])
    hat, bag, prop = (
        tint(COLOURS[name], carried, 6) for name in (outfit.hat_colour, outfit.bag_colour, outfit.prop_colour)
    )
    upper_nir = infrared(upper, cut)
    return Dyes(
        skin, hair, upper, upper2, lower, shoes, hat, bag, prop,
        upper_nir=upper_nir,
        upper2_nir=0.5 * (upper_nir + infrared(upper2, cut)),  # a print keeps half of its contrast
        lower_nir=infrared(lower, cut),
        shoes_nir=infrared(shoes, cut),
        hat_nir=infrared(hat, carried),
        bag_nir=infrared(bag, carried),
        prop_nir=infrared(prop, carried),
        seed=int(cut.integers(1 << 30)),
    )  # fmt: skip

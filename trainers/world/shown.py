"""Which attributes of a look a picture shows: the rules that captions and questions keep to."""

import math
from dataclasses import dataclass

from trainers.world.looks import Look
from trainers.world.sight import BLENDS_IN, DARK, EVERYTHING, FRONTAL_DEG, Sight
from trainers.world.wardrobe import COLOURS, DENIM, HAIR_COLOURS, UPPERS

# Degrees off facing the camera: from here on hanging hair, knots from the side, knots and packs from behind are seen.
SIDE_DEG, KNOT_DEG, BEHIND_DEG = 60.0, 80.0, 110.0
# And up to here things on a face, a print between straps, the peak of a cap.
FACE_DEG, STRAPS_DEG, NAPE_DEG = 50.0, 30.0, 120.0

# Heights in pixels below which something is not seen; in near infrared nothing fine is seen below GREY_PX.
FACE_PX, STYLE_PX, LONG_PX, TIED_PX, TIED_SIDE_PX, CHILD_PX = 160, 100, 140, 150, 180, 300
GLASSES_PX, SUNGLASSES_PX, BEARD_PX = 300, 150, 200
SHAPE_PX, KIND_PX, GREY_PX, HAT_PX, GREY_HAT_PX = 120, 100, 200, 75, 100
SHOES_PX, SHOE_KIND_PX, PRINT_PX, STRAPS_PX = 100, 260, 110, 160
_KIND_PX = {
    "hoodie": 200, "sweater": 130, "shirt": 120, "suit": 120, "puffer": 130,
    "sweatpants": 300, "leggings": 130, "jeans": 250,
}  # fmt: skip
_PRINT_PX = {"logo": 130, "text": 130, "dots": 130, "floral": 130, "vstripe": 150}

# Shares of the body's pixels.
HAIR_SHARE, HAT_SHARE, SHOE_SHARE, FACE_SHARE, STRAP_SHARE = 0.015, 0.015, 0.015, 0.015, 0.04
HARDLY_HIDDEN = 0.75  # visible share from which faces, prints, kinds of cloth and long hair are seen
NARROW, WIDE = 0.145, 0.205  # `Sight.fullness` that a slim body stays below, and that a heavy one reaches

# Of 255: where a part is darker, no man or woman, no beard, no quilting is seen.
LIT_FACE, LIT_BEARD, LIT_QUILT = 90.0, 110.0, 75.0
PAINTS_APART = 60.0  # distance of the two colours of a print that is seen
COAT_HEM = 0.45  # of the height: what ends lower hides a skirt

_MIDDLE = (0.3, 0.6, 0.1)  # luminance of r, g, b
_TELLING_HAIR = {"medium", "long", "ponytail", "bun"}
_BLUE = {"blue", "light blue"}
_FRONT_PRINTS, _MIXING = {"logo", "text"}, {"hstripe", "vstripe", "plaid", "twotone", "raglan"}
_BARE_LEGS = {"shorts", "skirt", "none"}
_WIDE = {"coat", "puffer", "dress"}
_TOLD_IN_FRONT = {"jacket", "suit", "hoodie"}  # by lapels, zips and strings


@dataclass(frozen=True, slots=True)
class Shown:
    """What a picture shows of a look; each property is whether something may be said."""

    look: Look
    sight: Sight

    @property
    def gender(self) -> bool:
        """Man or woman: by a lit face, a woman's hair or a beard; of a child neither is seen in a crop."""
        sight = self.sight
        if self.look.body.age == "child":
            return sight.height_px >= CHILD_PX and self.face
        near = sight.height_px >= FACE_PX and sight.from_front and sight.visibility >= HARDLY_HIDDEN
        lit = near and sight.colours and self._bright("face") >= LIT_FACE
        hair = not self.look.body.male and self.look.body.hair in _TELLING_HAIR and self.hair_style
        return (self.face and lit) or self.beard or hair

    @property
    def age(self) -> bool:
        """Elderly is seen by grey hair, a child only from near."""
        if self.look.body.age != "elderly" or self.sight is EVERYTHING:
            return self.gender
        grey = self.look.body.hair_colour in ("grey", "white") and self.look.body.hair != "bald"
        return self.gender and grey and self.hair and self.hair_colour not in ("", "dark")

    @property
    def shape(self) -> bool:
        """Slim or heavy: as far as the outline is. Wide clothes and a seat make anybody wide."""
        sight, shape = self.sight, self.look.body.shape
        if sight is EVERYTHING:
            return True
        if sight.fullness is None or sight.height_px < SHAPE_PX or self.look.outfit.prop == "wheelchair":
            return False
        if shape == "heavy":
            wide = self.look.outfit.upper in _WIDE or self.look.outfit.lower == "skirt"
            return sight.fullness >= WIDE and not wide
        return sight.fullness <= NARROW if shape == "slim" else NARROW < sight.fullness < WIDE

    @property
    def face(self) -> bool:
        """Enough of the face."""
        return self.sight.shows("face", FACE_SHARE)

    @property
    def hair(self) -> bool:
        """Hair under a hat is seen only where it hangs out of it."""
        body, sight = self.look.body, self.sight
        if self.look.outfit.hat != "none":
            return body.hair in ("long", "ponytail") and sight.shows("hair", 2 * HAIR_SHARE)
        if body.hair in ("bald", "crop"):
            return self.face and sight.height_px >= STYLE_PX
        return sight.shows("hair", HAIR_SHARE)

    @property
    def hair_colour(self) -> str:
        """What the colour of the hair looks like; empty = it does not tell."""
        name = self.look.body.hair_colour
        return self.sight.colour("hair", name, HAIR_COLOURS[name])

    @property
    def hair_style(self) -> bool:
        """Its length from near enough; what hangs behind the head or is tied there not from the front."""
        sight, style = self.sight, self.look.body.hair
        if sight is EVERYTHING:
            return True
        if not (self.hair and sight.stands_out("hair", "skin")):
            return False
        if style in ("ponytail", "bun"):
            px = TIED_PX if sight.off_front_deg >= BEHIND_DEG else TIED_SIDE_PX
            return sight.off_front_deg >= KNOT_DEG and self._near(px)
        if style in ("long", "medium") and sight.off_front_deg < SIDE_DEG:
            return False
        if style == "long":
            return self._near(LONG_PX) and sight.visibility >= HARDLY_HIDDEN
        return self._near(STYLE_PX)

    @property
    def beard(self) -> bool:
        """A full beard, not stubble."""
        near = self.sight.height_px >= BEARD_PX and self.sight.off_front_deg <= FACE_DEG
        return self.look.body.beard == "beard" and near and self.face and self._bright("face") >= LIT_BEARD

    @property
    def glasses(self) -> bool:
        """On a face that is near and lit."""
        sight = self.sight
        least_px = {"clear": GLASSES_PX, "sun": SUNGLASSES_PX}.get(self.look.outfit.glasses)
        near = least_px is not None and sight.height_px >= least_px and sight.off_front_deg <= FACE_DEG
        return near and self.face and self._bright("face") >= LIT_FACE

    def part(self, name: str) -> bool:
        """Whether something worn or carried is seen well enough to be spoken of."""
        match name:
            case "lower":
                return self._lower
            case "shoes":
                return self._shoes
            case "hat":
                return self._hat
            case "bag":
                return self._bag
            case "prop":
                return self.look.outfit.prop != "none" and self._held("prop")
        return self.sight.shows(name)

    def kind(self, part: str) -> bool:
        """Whether cloth can be told from cloth, shoes from boots, a cap from a beanie; else the outline tells."""
        match part:
            case "upper":
                return self._seen_close(part, self._upper_px)
            case "lower":
                return self._seen_close(part, self._lower_px)
            case "shoes":
                seen = self.sight.colours and self.sight.stands_out(part, "skin")
                return seen and self._seen_close(part, SHOE_KIND_PX)
            case "hat":
                return self.look.outfit.hat == "brim" or self.sight.off_front_deg <= NAPE_DEG
        return True

    def _seen_close(self, part: str, least_px: float) -> bool:
        sight = self.sight
        lit = max(sight.tints.get(part, (255,))) >= DARK and sight.stands_out(part, "background")
        return lit and sight.visibility >= HARDLY_HIDDEN and self._near(least_px)

    def _near(self, least_px: float) -> bool:
        """High enough; in near infrared details are seen only from nearer."""
        return self.sight.height_px >= (least_px if self.sight.colours else max(least_px, GREY_PX))

    def _bright(self, part: str) -> float:
        """Luminance of a part in the picture, 0 to 255."""
        tint = self.sight.tints.get(part, (255.0, 255.0, 255.0))
        return sum(weight * channel for weight, channel in zip(_MIDDLE, tint, strict=True))

    @property
    def _upper_px(self) -> float:
        """Height from which the kind of the upper garment is seen; infinite where never."""
        upper, sight = self.look.outfit.upper, self.sight
        behind = upper in _TOLD_IN_FRONT and not sight.from_front
        unseen = upper == "puffer" and self._bright("upper") < LIT_QUILT  # its quilting
        return math.inf if behind or unseen else _KIND_PX.get(upper, KIND_PX)

    @property
    def _lower_px(self) -> float:
        """Height from which the kind of the lower garment is seen; jeans are known by their blue."""
        lower, colour = self.look.outfit.lower, self.look.outfit.lower_colour
        if (
            lower == "jeans"
            and colour in _BLUE
            and self.sight.colour("lower", colour, DENIM[colour]) == colour
        ):
            return KIND_PX
        return _KIND_PX.get(lower, KIND_PX)

    @property
    def pattern(self) -> bool:
        """Prints are seen from near, in two colours that differ, when little hides them; hardly in near infrared."""
        outfit, sight = self.look.outfit, self.sight
        if sight is EVERYTHING:
            return True
        near = sight.height_px >= _PRINT_PX.get(outfit.upper_pattern, PRINT_PX)
        clear = sight.colours and near and sight.visibility >= HARDLY_HIDDEN
        if outfit.upper_pattern in _FRONT_PRINTS:
            straps = outfit.bag in ("backpack", "shoulder")
            clear &= sight.off_front_deg <= (STRAPS_DEG if straps else FRONTAL_DEG)
        if outfit.upper_pattern != "solid":
            paints = COLOURS[outfit.upper_colour], COLOURS[outfit.upper_colour2]
            clear &= outfit.upper_pattern == "camo" or math.dist(*paints) >= PAINTS_APART
        return clear and sight.shows("upper", 0.1) and max(sight.tints.get("upper", (255,))) >= DARK

    @property
    def upper_colour(self) -> str:
        """What the upper garment's colour looks like; empty where it mixes with that of a print that is not seen."""
        outfit = self.look.outfit
        if outfit.upper_pattern in _MIXING and not (self.pattern and self.kind("upper")):
            return ""
        return self.sight.colour("upper", outfit.upper_colour, COLOURS[outfit.upper_colour])

    @property
    def _lower(self) -> bool:
        """A skirt is hidden under a coat."""
        outfit = self.look.outfit
        hidden = outfit.lower == "skirt" and UPPERS[outfit.upper].hem[0] < COAT_HEM
        return outfit.lower != "none" and not hidden and self.sight.shows("lower")

    @property
    def _shoes(self) -> bool:
        """Shoes like the trousers or the legs above them are not seen."""
        near = self._near(SHOES_PX) and self.sight.shows("shoes", SHOE_SHARE)
        above = "skin" if self.look.outfit.lower in _BARE_LEGS else "lower"
        return near and self.sight.stands_out("shoes", above, BLENDS_IN)

    @property
    def _hat(self) -> bool:
        near = self.sight.height_px >= (HAT_PX if self.sight.colours else GREY_HAT_PX)
        return self.look.outfit.hat != "none" and near and self.sight.shows("hat", HAT_SHARE)

    @property
    def _bag(self) -> bool:
        """A strap like the cloth below it is not seen, nor what hangs from a hand and is like the place behind."""
        bag, sight = self.look.outfit.bag, self.sight
        if bag == "shoulder" or (bag == "backpack" and sight.off_front_deg < BEHIND_DEG):
            near = bag == "shoulder" or sight.off_front_deg >= SIDE_DEG or sight.height_px >= STRAPS_PX
            return near and sight.shows("bag", STRAP_SHARE) and sight.stands_out("bag", "upper")
        if bag in ("handbag", "shopping"):
            return self._held("bag") and sight.height_px >= KIND_PX
        return bag != "none" and sight.shows("bag")

    def _held(self, part: str) -> bool:
        """What is held or pushed is seen against the place behind it."""
        return self.sight.shows(part) and self.sight.stands_out(part, "background")

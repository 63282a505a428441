"""The words for what people wear and carry: several for each, the plain one first."""

UPPER_NAMES: dict[str, tuple[str, ...]] = {
    "tshirt": ("T-shirt", "short-sleeved T-shirt", "tee"),
    "tank": ("sleeveless top", "tank top"),
    "hoodie": ("hoodie", "hooded sweatshirt"),
    "sweater": ("sweater", "pullover", "jumper"),
    "coat": ("coat", "long coat"),
    "puffer": ("puffer jacket", "padded jacket"),
    "hivis": ("high-visibility vest", "safety vest"),
    "suit": ("suit",),
}
LOWER_NAMES: dict[str, tuple[str, ...]] = {
    "jeans": ("jeans", "denim trousers"),
    "trousers": ("trousers", "pants"),
    "sweatpants": ("sweatpants", "jogging bottoms"),
    "shorts": ("shorts",),
}
SHOE_NAMES: dict[str, tuple[str, ...]] = {
    "sneakers": ("sneakers", "trainers", "sports shoes"),
    "formal": ("leather shoes", "dress shoes"),
    "boots": ("boots", "ankle boots"),
}
PATTERNS: dict[str, tuple[str, ...]] = {
    "hstripe": ("with horizontal {}stripes", "with {}stripes running across"),
    "vstripe": ("with vertical {}stripes",),
    "plaid": ("with a {}check", "with a {}plaid pattern"),
    "dots": ("with {}dots",),
    "floral": ("with a {}flower print",),
    "logo": ("with a {}logo on the chest", "with a {}emblem on the front"),
    "text": ("with {}lettering", "with {}letters on the front"),
    "camo": ("in camouflage",),
    "twotone": ("with a {}lower half",),
    "raglan": ("with {}sleeves",),
}
BAG_SENTENCES: dict[str, tuple[str, ...]] = {
    "backpack": ("carries a {}backpack", "has a {}rucksack"),
    "shoulder": ("has a {}cross-body bag", "wears a {}shoulder bag across the body"),
    "handbag": ("holds a {}handbag", "carries a {}handbag"),
    "suitcase": ("pulls a {}suitcase", "has a {}rolling suitcase"),
    "shopping": ("holds a {}shopping bag", "carries a {}carrier bag"),
}
PROP_SENTENCES: dict[str, tuple[str, ...]] = {
    "umbrella": ("holds a {}umbrella", "is under a {}umbrella"),
    "pushchair": ("pushes a {}pushchair", "pushes a {}stroller"),
    "wheelchair": ("sits in a wheelchair", "is in a wheelchair"),
}

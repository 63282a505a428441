"""Names for people who do not exist: drawn from the seed of the body, apart from how they look."""

import numpy as np

from trainers.world.looks import Body

FIRST = {
    "female": (
        "Anna",
        "Mei",
        "Ines",
        "Zofia",
        "Amara",
        "Leila",
        "Tove",
        "Priya",
        "Carla",
        "Noor",
        "Yuki",
        "Eva",
    ),
    "male": (
        "Jonas",
        "Wei",
        "Pablo",
        "Marek",
        "Kofi",
        "Omar",
        "Nils",
        "Arjun",
        "Luca",
        "Sami",
        "Ken",
        "Adam",
    ),
}
FAMILY = (
    "Berg", "Lin", "Ortega", "Nowak", "Mensah", "Haddad", "Dahl", "Rao", "Conti", "Said", "Mori", "Weber", "Silva",
    "Novak", "Diallo", "Karim", "Lund", "Patel", "Rossi", "Amin",
)  # fmt: skip


def name_of(body: Body) -> str:
    """First and family name; two people may share one."""
    rng = np.random.default_rng([120, body.seed])
    first = FIRST[body.gender]
    return f"{first[int(rng.integers(len(first)))]} {FAMILY[int(rng.integers(len(FAMILY)))]}"

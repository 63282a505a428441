"""HTML text: escaped, with pictures inside."""

import base64
from html import escape

PALETTE = 8


def text(value: object) -> str:
    """Anything as text of a page."""
    return escape(str(value))


def picture(jpeg: bytes | None, alt: str) -> str:
    """A JPEG as an image that needs no file; a grey field where there is none."""
    if jpeg is None:
        return '<div class="none">no picture</div>'
    data = base64.b64encode(jpeg).decode("ascii")
    return f'<img alt="{text(alt)}" src="data:image/jpeg;base64,{data}">'


def colour(place: int | None) -> str:
    """Style that gives a person their colour: by place on the watchlist, grey when not on it."""
    name = "var(--soft)" if place is None else f"var(--c{place % PALETTE})"
    return f"--who:{name}"


def share(value_s: float, whole_s: float) -> str:
    """Place on an axis, as CSS percent.

    >>> share(3.0, 12.0), share(-1.0, 12.0)
    ('25.00%', '0.00%')
    """
    return f"{100 * min(max(value_s / whole_s if whole_s > 0 else 0.0, 0.0), 1.0):.2f}%"


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun.

    >>> count(1, "hit"), count(0, "hit"), count(2, "person", "people")
    ('1 hit', '0 hits', '2 people')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"

"""What is said and shown to a language model, before anything is computed of it."""

import hashlib
from collections.abc import Iterable, Sequence

from engines.lmm.pictures import Picture

Parts = Sequence[str | Picture]
"""What is said and shown, in order."""
PICTURE_BEGINS, PICTURE_ENDS = "<|vision_start|>", "<|vision_end|>"


def marked(parts: Parts) -> list[str | Picture]:
    """The parts with each picture between its marks; neighbouring words are one text."""
    joined: list[str | Picture] = [""]
    for part in parts:
        more: Parts = [PICTURE_BEGINS, part, PICTURE_ENDS] if isinstance(part, Picture) else [part]
        for piece in more:
            if isinstance(piece, str) and isinstance(joined[-1], str):
                joined[-1] += piece
            else:
                joined.append(piece)
    return [part for part in joined if part != ""]


def split_prefix(prefix: Parts) -> tuple[str, Parts]:
    """The words that a beginning opens with, and the rest, marked; all is rest where it is nothing but words."""
    opens = isinstance(prefix[-1], str)  # a picture follows, and its mark belongs here
    first, *rest = marked([*prefix, PICTURE_BEGINS] if opens else prefix)
    return (first, rest) if rest and isinstance(first, str) else ("", [first, *rest])


def split_suffix(prefix: Parts, suffix: Parts) -> Parts:
    """What comes after a beginning, with the marks that this has not said.

    Raises:
        ValueError: Two pictures, or words and words, where one is cut off from the other.
    """
    follows = isinstance(suffix[0], Picture)
    if follows != isinstance(prefix[-1], str):
        raise ValueError("a suffix begins with a picture where its prefix ends with words, and only there")
    return marked(suffix)[1:] if follows else marked(suffix)


def key_of(parts: Parts) -> bytes:
    """Digest of words and pictures."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part.key if isinstance(part, Picture) else hashlib.blake2b(part.encode()).digest())
    return digest.digest()


def pictures_in(sequences: Iterable[Parts]) -> list[Picture]:
    """All pictures of sequences, in order."""
    return [part for parts in sequences for part in parts if isinstance(part, Picture)]

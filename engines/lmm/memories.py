"""What a language model has looked at and read, kept for later."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engines.lmm.cache import ByteCache
from engines.lmm.decoder import Memory, Segment
from engines.lmm.model import VisionLanguageModel
from engines.lmm.pack import Features, Packed, pack
from engines.lmm.parts import Parts, pictures_in
from engines.lmm.pictures import Picture

MB = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Words and pictures to be read after others.

    Attributes:
        key: Names it, with all that stands before it.
        parts: With all marks.
        past: What it sees.
    """

    key: bytes
    parts: Parts
    past: tuple[Memory, ...] = ()


class Memories:
    """Vision tokens by picture and keys and values by stretch, each within a number of bytes.

    What went is made again when it is needed.

    Args:
        model: The network.
        vision_mb: Memory for vision tokens.
        read_mb: Memory for keys and values.
    """

    def __init__(self, model: VisionLanguageModel, vision_mb: int, read_mb: int) -> None:
        self._model, self._decoder = model, model.decoder
        self._seen: ByteCache[Features] = ByteCache(vision_mb * MB)
        self._read: ByteCache[Memory] = ByteCache(read_mb * MB)

    @property
    def nbytes(self) -> int:
        """Bytes that are kept for later."""
        return self._seen.nbytes + self._read.nbytes

    def of(self, stretches: Sequence[Stretch]) -> list[Memory]:
        """Keys and values of stretches; those not kept are read in one run."""
        here = {each.key: self._read.get(each.key) for each in stretches}
        new = list({each.key: each for each in stretches if here[each.key] is None}.values())
        packed = self.packed([each.parts for each in new])
        segments = [
            Segment(tokens, each.past[-1].end if each.past else 0, each.past)
            for tokens, each in zip(packed, new, strict=True)
        ]
        for each, read in zip(new, self._decoder.read(segments) if new else [], strict=True):
            here[each.key] = read
            self._read.put(each.key, read)
        return [memory for each in stretches if (memory := here[each.key]) is not None]

    def packed(self, sequences: Sequence[Parts]) -> list[Packed]:
        """Sequences as vectors; all pictures of them that are not kept are looked at together."""
        features = self._features(pictures_in(sequences))
        return [pack(parts, features, self._model.embed) for parts in sequences]

    def forget(self, keys: Iterable[bytes], pictures: Iterable[Picture]) -> None:
        """Keeps nothing of stretches and pictures."""
        for key in keys:
            self._read.drop(key)
        for picture in pictures:
            self._seen.drop(picture.key)

    def clear(self) -> None:
        """Keeps nothing."""
        self._seen.clear()
        self._read.clear()

    def _features(self, pictures: Iterable[Picture]) -> dict[bytes, Features]:
        wanted = {picture.key: picture for picture in pictures}
        kept = {key: self._seen.get(key) for key in wanted}
        here = {key: features for key, features in kept.items() if features is not None}
        new = [wanted[key] for key, features in kept.items() if features is None]
        for picture, features in zip(new, self._model.look(new) if new else [], strict=True):
            here[picture.key] = features
            self._seen.put(picture.key, features)
        return here

"""Tracklets on their way out of the process: the frames of all crops but the best are small."""

from collections import OrderedDict
from dataclasses import replace

from pipeline.jpeg import jpeg_size
from pipeline.messages import Crop, Scene, Tracklet
from pipeline.protocols import Codec
from pipeline.scenes import SMALL_QUALITY, small_size

REMEMBERED = 128  # scenes: a track's best crops come again with each question about it


class SmallScenes:
    """Makes whole frames of crops that were once the best of their track small, each once.

    Args:
        codec: Opens and writes them.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._made: OrderedDict[int, tuple[Scene, Scene]] = (
            OrderedDict()
        )  # by id of the whole one, which lives on here

    def behind_the_best(self, tracklet: Tracklet) -> Tracklet:
        """The tracklet whose best scene alone may be whole."""
        best, *others = tracklet.crops
        return replace(tracklet, crops=(best, *map(self._with_small, others)))

    def _with_small(self, crop: Crop) -> Crop:
        return crop if crop.scene is None else replace(crop, scene=self._small(crop.scene))

    def _small(self, scene: Scene) -> Scene:
        size = small_size(scene.size)
        if jpeg_size(scene.jpeg)[0] <= size[0]:
            return scene
        if id(scene) not in self._made:
            picture = self._codec.resize(self._codec.decode(scene.jpeg), size)
            self._made[id(scene)] = scene, Scene(self._codec.encode(picture, SMALL_QUALITY), scene.size)
            if len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
        self._made.move_to_end(id(scene))
        return self._made[id(scene)][1]

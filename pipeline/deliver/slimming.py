"""Room in a full outbox of tracklets: the oldest lose the pictures that a hit can do without.

The scene shrinks to a quarter of its sides and all crops go but the best; vectors, boxes and times stay, so whoever
is enrolled is found as before.
"""

import base64
import logging
from typing import Any

from pipeline.deliver.outbox import Outbox
from pipeline.errors import InputError
from pipeline.protocols import Codec

logger = logging.getLogger(__name__)

STEP = 8  # tracklets at once
SCENE_SHARE, SCENE_QUALITY = 0.25, 30


class Slimming:
    """Goes through an outbox of tracklets from the oldest on; for one thread.

    Args:
        outbox: Holds events made by `pipeline.deliver.tracklets`.
        codec: Opens and writes their pictures.

    Attributes:
        lightened: Tracklets that lost pictures so far.
        problem: None; what cannot be written stays as it was.
    """

    problem: str | None = None

    def __init__(self, outbox: Outbox, codec: Codec) -> None:
        self.lightened = 0
        self._outbox, self._codec = outbox, codec
        self._done_to = 0

    def make_room(self) -> bool:
        """Lightens a few; False when there is nothing left to lighten.

        Raises:
            OutboxError: They are as they were.
        """
        while rows := self._outbox.after(self._done_to, STEP):
            light = [row._replace(event=lighter(row.event, self._codec)) for row in rows]
            changed = [new for new, old in zip(light, rows, strict=True) if new.event != old.event]
            self._outbox.replace(changed)
            self._done_to = rows[-1].seq
            if changed:
                if not self.lightened:
                    logger.warning("the outbox is full: tracklets that wait lose pictures, the oldest first")
                self.lightened += len(changed)
                return True
        return False


def lighter(event: dict[str, Any], codec: Codec) -> dict[str, Any]:
    """The event of a tracklet with a small scene and its best crop alone; the same where it is so already."""
    data = event["data"]
    light = {**data, "crops": data["crops"][:1], "scene": _small(data["scene"], codec)}
    return {**event, "data": light}


def _small(scene: dict[str, Any], codec: Codec) -> dict[str, Any]:
    width, height = (max(1, int(side * SCENE_SHARE)) for side in scene["size"])
    try:
        image = codec.decode(base64.b64decode(scene["jpeg"]))
    except InputError:  # whoever receives it says so
        return scene
    if image.shape[1] <= width:
        return scene
    jpeg = codec.encode(codec.resize(image, (width, height)), SCENE_QUALITY)
    return {**scene, "jpeg": base64.b64encode(jpeg).decode()}

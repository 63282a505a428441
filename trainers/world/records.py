"""What is known of somebody in a picture: the record that crops and scenes keep."""

from typing import Any

import numpy as np

from trainers.world.captions import captions, describe, visible_attributes
from trainers.world.doll import PROP
from trainers.world.looks import Look
from trainers.world.render import Picture, Seen
from trainers.world.rig import Pose
from trainers.world.sight import Sight, off_front, tints_of
from trainers.world.view import View

# Share of a body that is seen and in the picture, from which its outline tells slim from heavy.
NEARLY_WHOLE = 0.9


def record(
    look: Look, picture: Picture, seen: Seen, pose: Pose, view: View, texts: int, wording: np.random.Generator
) -> dict[str, Any]:
    """What is known of somebody in a picture: texts, what is visible, the visible box in the camera's picture.

    Args:
        look: Of whom.
        picture: Where they are.
        seen: The truth about them in it.
        pose: As they were drawn.
        view: Of which camera.
        texts: How many captions.
        wording: Chooses the words, and draws nothing else: no rule of captions then changes the pictures that follow.
    """
    sight = sight_of(picture, seen, pose, view)
    return {
        "infrared": view.sensor.style.infrared,
        "clothes_id": look.outfit.seed,
        "box": list(seen.box),
        "visibility": round(seen.visibility, 3),
        "parts": seen.parts,
        "off_front_deg": round(sight.off_front_deg, 1),
        "captions": captions(look, sight, texts, wording),
        "text": describe(look),
        "visible": visible_attributes(look, sight),
        "attributes": look.attributes(),
    }


def sight_of(picture: Picture, seen: Seen, pose: Pose, view: View) -> Sight:
    """What may be said of somebody in this picture."""
    eye = view.camera.position
    turned = off_front(pose.heading, pose.x, pose.y, float(eye[0]), float(eye[1]))
    return Sight(
        seen.parts,
        _height(picture, seen),
        turned,
        colours=not view.sensor.style.infrared,
        visibility=seen.visibility,
        fullness=_fullness(picture, seen),
        tints=tints_of(picture.image, picture.ids, picture.parts, seen.index),
    )


def _height(picture: Picture, seen: Seen) -> float:
    """Of the visible body, without an umbrella above it."""
    if not seen.parts.get("prop"):
        return float(seen.box[3])
    rows = np.nonzero(((picture.ids == seen.index + 1) & (picture.parts != PROP)).any(1))[0]
    return float(np.ptp(rows) + 1) if len(rows) else 0.0


def _fullness(picture: Picture, seen: Seen) -> float | None:
    high = _height(picture, seen)
    if not high or min(seen.visibility, seen.in_frame) < NEARLY_WHOLE:
        return None
    carried = sum(seen.parts.get(part, 0.0) for part in ("bag", "hat", "prop"))
    return int((picture.ids == seen.index + 1).sum()) * (1 - carried) / high**2

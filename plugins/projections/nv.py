"""Hits as messages of NVIDIA DeepStream's Gst-nvmsgconv, in its full and its minimal schema.

Source: https://docs.nvidia.com/metropolis/deepstream/dev-guide/text/DS_plugin_gst-nvmsgconv.html (both schemas) and
https://docs.nvidia.com/vss/3.1.0/JSON-Schema.html (the full one, part by part).
"""

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pipeline.settings import Settings
from plugins.projections.reading import hit_in, probability_of

EVENT_TYPES = {"opened": "entry", "updated": "moving", "closed": "exit", "retracted": "reset"}
"""DeepStream's words for events; `moving` is what it says of everybody who is still in view."""

SECONDARY = 5
"""Gender, age, hair, cap and apparel, none of which a hit knows: empty, as DeepStream writes what is not there."""


class NvProjection:
    """DeepStream's full schema: one message an object, with sensor, analytics module, object and event."""

    content_type = "application/json"

    class Config(Settings):
        """Nothing to set."""

    def __init__(self, config: Config) -> None:
        del config

    def project(self, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """As `nv_message`."""
        return nv_message(event)


class NvMinimalProjection(NvProjection):
    """DeepStream's minimal schema: one message a frame, an object is one line of text."""

    def project(self, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """As `nv_minimal_message`."""
        return nv_minimal_message(event)


def nv_message(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """The message of a hit in the full schema; None of an event that is no hit, or a review.

    Who it is stands in `object.info`, which the schema has for what it has no field for. Left out, since a hit does not
    know them: place, location, coordinate, speed, direction, age, gender, hair, cap, apparel.
    """
    hit = hit_in(event)
    if hit is None:
        return None
    left, top, right, bottom = (round(edge) for edge in hit["best"]["box"])
    box = {"topleftx": left, "toplefty": top, "bottomrightx": right, "bottomrighty": bottom}
    probability = probability_of(hit)
    person = {} if probability is None else {"confidence": probability}
    crop = hit["best"]["crop"]
    return {
        "messageid": str(uuid5(NAMESPACE_URL, event["id"])),
        "mdsversion": "1.0",
        "@timestamp": event["time"],
        "sensor": {"id": hit["stream_id"], "type": "Camera", "description": event["source"]},
        "analyticsModule": {
            "id": "musewatch",
            "description": "Finds enrolled people",
            "source": hit["engines"].get("embedder") or "musewatch",
            "version": "1.0",
        },
        "object": {"id": str(hit["track_id"]), "person": person, "bbox": box, "info": _info(hit)},
        "event": {"id": str(uuid5(NAMESPACE_URL, hit["hit_id"])), "type": EVENT_TYPES[hit["state"]]},
        "videoPath": (crop and crop["uri"]) or "",
    }


def nv_minimal_message(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """The message of a hit in the minimal schema; None of an event that is no hit, or a review.

    The id of the frame is that of the event: a hit does not know its frame's number. The object's line is `track |
    left | top | right | bottom | Person | # |` and what is secondary, which ends with the confidence. Who it is stands
    in `info`.
    """
    hit = hit_in(event)
    if hit is None:
        return None
    probability = probability_of(hit)
    primary = [hit["track_id"], *(f"{edge:g}" for edge in hit["best"]["box"]), "Person", "#"]
    secondary = [*[""] * SECONDARY, "" if probability is None else f"{probability:g}"]
    return {
        "version": "4.0",
        "id": event["id"],
        "@timestamp": event["time"],
        "sensorId": hit["stream_id"],
        "objects": ["|".join(map(str, [*primary, *secondary]))],
        "info": _info(hit),
    }


def _info(hit: Mapping[str, Any]) -> dict[str, str]:
    decision = hit["decision"]
    distance = decision["distance"] if decision["fused"] is None else decision["fused"]
    known = {
        "hit_id": hit["hit_id"],
        "state": hit["state"],
        "identity": hit["identity"]["id"],
        "name": hit["identity"]["name"],
        "distance": f"{distance:g}",
    }
    return {key: value for key, value in known.items() if value is not None}

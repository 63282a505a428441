"""Hits as ONVIF metadata: the sight as analytics of a frame, who it is as the event of a rule.

Source: ONVIF Analytics Service Specification (scene description, recognition rule engines), ONVIF Streaming
Specification (tt:MetadataStream); schema http://www.onvif.org/ver10/schema, metadatastream.xsd 25.12.
"""

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from pipeline.deliver.events import rfc3339
from pipeline.settings import Settings
from plugins.projections.reading import hit_in, moment_of, probability_of

NAMESPACES = {
    "tt": "http://www.onvif.org/ver10/schema",
    "wsnt": "http://docs.oasis-open.org/wsn/b-2",
    "tns1": "http://www.onvif.org/ver10/topics",
    "mw": "urn:musewatch:onvif:1",
}
TOPIC = "tns1:RuleEngine/Recognition/mw:Person"
"""The specification knows faces and licence plates; a person known by the whole body is ours, below the same topic."""
DIALECT = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
OPERATIONS = {"opened": "Initialized", "updated": "Changed", "closed": "Deleted", "retracted": "Deleted"}


class OnvifProjection:
    """A tt:MetadataStream in XML: boxes in [-1, 1] with the origin in the centre and y up, type Human."""

    content_type = "application/xml"

    class Config(Settings):
        """Nothing to set."""

    def __init__(self, config: Config) -> None:
        del config

    def project(self, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """As `onvif_metadata`."""
        return onvif_metadata(event)

    def encode(self, document: Mapping[str, Any]) -> bytes:
        """As `metadata_xml`."""
        return metadata_xml(document)


def onvif_metadata(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """The metadata of a hit in ONVIF's JSON form (attributes begin with @); None of one that is no hit, or a review.

    The likelihood of the event is the hit's probability, and left out without a calibration; that of the class is left
    out, since a hit has no score of the detector. So is the rectangle in the event: the frame has it.
    """
    hit = hit_in(event)
    if hit is None:
        return None
    return {
        "VideoAnalytics": {"Frame": [_frame(hit)]},
        "Event": {
            "wsnt:NotificationMessage": {
                "wsnt:Topic": {"@Dialect": DIALECT, "#text": TOPIC},
                "wsnt:Message": {"Message": _message(event, hit)},
            }
        },
    }


def metadata_xml(document: Mapping[str, Any]) -> bytes:
    """A document of `onvif_metadata` as XML in one line; elements without a prefix are ONVIF's own."""
    root = ElementTree.Element("tt:MetadataStream")
    for prefix, address in NAMESPACES.items():
        root.set(f"xmlns:{prefix}", address)
    _fill(root, document)
    xml: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=False)
    return xml


def _frame(hit: Mapping[str, Any]) -> dict[str, Any]:
    best = hit["best"]
    frame: dict[str, Any] = {"@UtcTime": rfc3339(moment_of(hit, best["pts_s"])), "@Source": "musewatch"}
    appearance: dict[str, Any] = {"Shape": _shape(best), "Class": {"Type": [{"#text": "Human"}]}}
    if best["crop"]:
        appearance["ImageRef"] = best["crop"]["uri"]
    frame["Object"] = [{"@ObjectId": hit["track_id"], "Appearance": appearance}]
    if hit["state"] == "closed":
        frame["ObjectTree"] = {"Delete": [{"@ObjectId": hit["track_id"]}]}
    if best["frame"]:
        frame["SceneImageRef"] = best["frame"]["uri"]
    return frame


def _shape(best: Mapping[str, Any]) -> dict[str, Any]:
    (width, height), (left, top, right, bottom) = best["frame_size"], best["box"]
    across = [round(edge / width * 2 - 1, 6) for edge in (left, right)]
    up = [round(1 - edge / height * 2, 6) for edge in (top, bottom)]
    return {
        "BoundingBox": {"@left": across[0], "@top": up[0], "@right": across[1], "@bottom": up[1]},
        "CenterOfGravity": {"@x": round(sum(across) / 2, 6), "@y": round(sum(up) / 2, 6)},
    }


def _message(event: Mapping[str, Any], hit: Mapping[str, Any]) -> dict[str, Any]:
    probability, crop = probability_of(hit), hit["best"]["crop"]
    data = {
        "EnrollmentID": hit["identity"]["id"],
        "Name": hit["identity"]["name"],
        "Likelihood": probability,
        "Distance": hit["decision"]["distance"],
        "State": hit["state"],
        "ObjectId": hit["track_id"],
        "ImageUri": crop and crop["uri"],
    }
    return {
        "@UtcTime": event["time"],
        "@PropertyOperation": OPERATIONS[hit["state"]],
        "Source": _items({"VideoSource": hit["stream_id"], "Rule": "musewatch"}),
        "Key": _items({"HitId": hit["hit_id"]}),
        "Data": _items(data),
    }


def _items(values: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in values.items() if value is not None}
    return {"SimpleItem": [{"@Name": name, "@Value": value} for name, value in known.items()]}


def _fill(element: ElementTree.Element, content: Mapping[str, Any]) -> None:
    for key, value in content.items():
        if key == "#text":
            element.text = _text(value)
        elif key.startswith("@"):
            element.set(key[1:], _text(value))
        else:
            for inner in value if isinstance(value, list) else [value]:
                child = ElementTree.SubElement(element, key if ":" in key else f"tt:{key}")
                if isinstance(inner, Mapping):
                    _fill(child, inner)
                else:
                    child.text = _text(inner)


def _text(value: object) -> str:
    """As XML may hold it: characters that it has no way to say are replaced."""
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", str(value))

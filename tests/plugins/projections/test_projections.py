"""Hits in the forms of others, held against their published documents."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pipeline import registry
from pipeline.deliver.events import encode, to_hit, trial_event
from pipeline.settings import choose
from pipeline.testing import contracts
from plugins.projections.frigate import frigate_message
from plugins.projections.nv import nv_message, nv_minimal_message
from plugins.projections.onvif import NAMESPACES, metadata_xml, onvif_metadata
from tests.support.hit_events import hit_event

FORMS = ("frigate", "hit", "nv", "nv_minimal", "onvif")

# https://docs.frigate.video/integrations/mqtt/, frigate/events: what `before` and `after` have there, by kind. What a
# hit cannot say is left out: region, active, stationary, motionless_count, position_changes, speeds, plates.
FRIGATE_OBJECT = {
    "id": str, "camera": str, "frame_time": float, "snapshot": dict, "label": str, "top_score": float,
    "false_positive": bool, "start_time": float, "score": float, "box": list, "area": int, "ratio": float,
    "current_zones": list, "entered_zones": list, "has_snapshot": bool, "has_clip": bool, "attributes": dict,
    "current_attributes": list,
}  # fmt: skip
FRIGATE_NULLABLE = {"sub_label", "end_time", "thumbnail"}


def build(name: str) -> Any:
    return registry.build("projection", choose(name), Path(), name)


@pytest.mark.parametrize("name", FORMS)
class TestOurs(contracts.ProjectionContract):
    @pytest.fixture
    def projection(self, name: str) -> Any:
        return build(name)

    @pytest.fixture
    def events(self) -> list[dict[str, Any]]:
        states = ("opened", "updated", "closed", "retracted")
        bare = {
            "pts_s": 4.2,
            "frame_size": [768, 432],
            "box": [0.0, 0.0, 0.0, 0.0],
            "crop": None,
            "frame": None,
        }
        return [hit_event(state) for state in states] + [hit_event(best={**bare, "mask": None})]


def test_the_event_that_they_are_tested_with_is_one() -> None:
    for state in ("opened", "updated", "closed", "retracted"):
        assert to_hit(hit_event(state)).state == state


@pytest.mark.parametrize("name", [name for name in FORMS if name != "hit"])
def test_what_others_have_no_words_for_is_left_out(name: str) -> None:
    projection = build(name)
    assert projection.project(trial_event("north-hall", datetime.now(UTC))) is None
    for state in ("confirmed", "rejected", "something new"):
        assert projection.project(hit_event(state)) is None


@pytest.mark.parametrize(
    ("state", "type_", "named_before", "named_after", "ended_before", "ended_after"),
    [
        ("opened", "new", False, True, False, False),
        ("updated", "update", True, True, False, False),
        ("closed", "end", True, True, False, True),
        ("retracted", "end", True, False, False, True),
    ],
)
def test_frigate_says_what_changed(
    state: str, type_: str, named_before: bool, named_after: bool, ended_before: bool, ended_after: bool
) -> None:
    message = frigate_message(hit_event(state))
    assert message is not None
    assert set(message) == {"type", "before", "after"}
    assert message["type"] == type_
    for side, named, ended in (("before", named_before, ended_before), ("after", named_after, ended_after)):
        tracked = message[side]
        assert {key: type(tracked[key]) for key in FRIGATE_OBJECT} == FRIGATE_OBJECT
        assert set(tracked) == set(FRIGATE_OBJECT) | FRIGATE_NULLABLE
        assert tracked["sub_label"] == (["Åsa <A> & Co", 0.795] if named else None)
        assert tracked["false_positive"] == (not named)
        assert (tracked["end_time"] is not None) == ended


def test_frigate_has_whole_pixels_and_seconds_since_1970() -> None:
    message = frigate_message(hit_event("closed"))
    assert message is not None
    after = message["after"]
    assert after["box"] == after["snapshot"]["box"] == [382, 14, 515, 392]
    assert after["area"] == 133 * 378
    assert after["ratio"] == pytest.approx(133 / 378, abs=1e-6)
    seen = datetime(2026, 11, 21, 7, 0, 0, 120_000, tzinfo=UTC).timestamp()
    assert after["frame_time"] == pytest.approx(seen, abs=1e-3)
    assert after["start_time"] == pytest.approx(seen - 1.1, abs=1e-3)
    assert after["end_time"] == pytest.approx(seen + 1.2, abs=1e-3)


@pytest.mark.parametrize(
    ("decision", "score"),
    [
        ({"distance": 0.41}, 0.795),
        ({"distance": 0.41, "fused": 0.2}, 0.9),
        ({"distance": 1.9, "probability": 0.93}, 0.93),
        ({"distance": 2.0}, 0.0),
    ],
)
def test_frigate_scores_by_the_probability_where_there_is_one(decision: dict[str, Any], score: float) -> None:
    message = frigate_message(hit_event(decision={"fused": None, "probability": None, **decision}))
    assert message is not None
    assert message["after"]["sub_label"][1] == message["after"]["top_score"] == pytest.approx(score)


def test_frigate_calls_who_has_no_name_by_the_id() -> None:
    message = frigate_message(hit_event(identity={"id": "p3", "name": None, "watchlist_version": 1}))
    assert message is not None
    assert message["after"]["sub_label"][0] == "p3"


def test_nv_full_is_the_published_message_without_what_nobody_knows() -> None:
    message = nv_message(hit_event(decision={"distance": 0.41, "fused": 0.25, "probability": 0.93}))
    assert message is not None
    assert list(message) == [
        "messageid", "mdsversion", "@timestamp", "sensor", "analyticsModule", "object", "event", "videoPath",
    ]  # fmt: skip
    assert (message["mdsversion"], message["@timestamp"]) == ("1.0", "2026-11-21T07:00:00.120Z")
    assert message["sensor"] == {"id": "door", "type": "Camera", "description": "/north-hall/door"}
    assert set(message["analyticsModule"]) == {"id", "description", "source", "version"}
    assert message["object"] == {
        "id": "7",
        "person": {"confidence": 0.93},
        "bbox": {"topleftx": 382, "toplefty": 14, "bottomrightx": 515, "bottomrighty": 392},
        "info": {
            "hit_id": "h1", "state": "opened", "identity": "p3", "name": "Åsa <A> & Co", "distance": "0.25",
        },
    }  # fmt: skip
    assert message["event"]["type"] == "entry"


def test_nv_full_tells_entry_from_exit_of_one_hit() -> None:
    messages = [nv_message(hit_event(state)) for state in ("opened", "updated", "closed", "retracted")]
    said = [message for message in messages if message is not None]
    assert [message["event"]["type"] for message in said] == ["entry", "moving", "exit", "reset"]
    assert len({message["event"]["id"] for message in said}) == 1
    assert len({message["messageid"] for message in said}) == 4


@pytest.mark.parametrize(("probability", "last"), [(None, ""), (0.93, "0.93")])
def test_nv_minimal_is_the_published_line(probability: float | None, last: str) -> None:
    decision = {"distance": 0.41, "fused": None, "probability": probability}
    message = nv_minimal_message(hit_event(decision=decision))
    assert message is not None
    # "18446744073709551615|123.095|485.434|204.537|765.614|Person|#|male|45|black|none|formal|0.499268"
    assert message["objects"] == [f"7|382.5|13.6|514.7|392.1|Person|#||||||{last}"]
    assert [message[key] for key in ("version", "id", "sensorId")] == ["4.0", "h1-1", "door"]


def onvif(state: str = "opened", **data: Any) -> ElementTree.Element:
    document = onvif_metadata(hit_event(state, **data))
    assert document is not None
    return ElementTree.fromstring(metadata_xml(document))


def items(root: ElementTree.Element, part: str) -> dict[str, str]:
    found = root.findall(f".//tt:{part}/tt:SimpleItem", NAMESPACES)
    return {item.attrib["Name"]: item.attrib["Value"] for item in found}


def test_onvif_frame_is_what_another_producer_writes() -> None:
    """As onvif-m-producer 0.1.0 wrote for the same box, to six digits, without its likelihood of the class."""
    root = onvif()
    assert root.tag == f"{{{NAMESPACES['tt']}}}MetadataStream"
    frame = root.find("tt:VideoAnalytics/tt:Frame", NAMESPACES)
    assert frame is not None
    assert frame.attrib == {"UtcTime": "2026-11-21T07:00:00.120Z", "Source": "musewatch"}
    box = frame.find("tt:Object[@ObjectId='7']/tt:Appearance/tt:Shape/tt:BoundingBox", NAMESPACES)
    centre = frame.find("tt:Object/tt:Appearance/tt:Shape/tt:CenterOfGravity", NAMESPACES)
    assert box is not None
    assert centre is not None
    theirs = {"left": -0.00390625, "top": 0.937037037, "right": 0.3403645833, "bottom": -0.815277778}
    assert {edge: float(value) for edge, value in box.attrib.items()} == pytest.approx(theirs, abs=1e-6)
    assert float(centre.attrib["x"]) == pytest.approx(0.16822916667, abs=1e-6)
    assert float(centre.attrib["y"]) == pytest.approx(0.06087962963, abs=1e-6)
    assert [kind.text for kind in frame.findall(".//tt:Class/tt:Type", NAMESPACES)] == ["Human"]


def test_onvif_keeps_the_order_that_the_schema_wants() -> None:
    """The schema is a sequence; documents like these were valid against metadatastream.xsd 25.12."""
    root = onvif("closed")
    tags = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert tags[: tags.index("Event")] == [
        "MetadataStream", "VideoAnalytics", "Frame", "Object", "Appearance", "Shape", "BoundingBox",
        "CenterOfGravity", "Class", "Type", "ImageRef", "ObjectTree", "Delete", "SceneImageRef",
    ]  # fmt: skip
    assert [tag for tag in tags[tags.index("Event") :] if tag != "SimpleItem"] == [
        "Event", "NotificationMessage", "Topic", "Message", "Message", "Source", "Key", "Data",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "operation", "deleted"),
    [
        ("opened", "Initialized", 0),
        ("updated", "Changed", 0),
        ("closed", "Deleted", 1),
        ("retracted", "Deleted", 0),
    ],
)
def test_onvif_rule_event_says_who(state: str, operation: str, deleted: int) -> None:
    root = onvif(state, decision={"distance": 0.41, "fused": None, "probability": 0.93})
    topic = root.find(".//wsnt:Topic", NAMESPACES)
    message = root.find(".//wsnt:Message/tt:Message", NAMESPACES)
    assert topic is not None
    assert topic.text == "tns1:RuleEngine/Recognition/mw:Person"
    assert message is not None
    assert message.attrib["PropertyOperation"] == operation
    assert items(root, "Source") == {"VideoSource": "door", "Rule": "musewatch"}
    assert items(root, "Key") == {"HitId": "h1"}
    assert items(root, "Data") == {
        "EnrollmentID": "p3", "Name": "Åsa <A> & Co", "Likelihood": "0.93", "Distance": "0.41", "State": state,
        "ObjectId": "7", "ImageUri": "file:///e/c.jpg",
    }  # fmt: skip
    assert len(root.findall(".//tt:Delete", NAMESPACES)) == deleted  # the track of a retracted hit goes on


def test_onvif_says_no_likelihood_without_a_calibration() -> None:
    assert "Likelihood" not in items(onvif(), "Data")


def test_onvif_is_xml_and_one_line_whatever_a_name_holds() -> None:
    name = "a\x00\x1b\ufffe\n]]><b/>"
    document = onvif_metadata(hit_event(identity={"id": "p3", "name": name, "watchlist_version": 1}))
    assert document is not None
    assert b"\n" not in metadata_xml(document)
    assert (
        items(ElementTree.fromstring(metadata_xml(document)), "Data")["Name"]
        == "a\ufffd\ufffd\ufffd\n]]><b/>"
    )


def test_onvif_in_json_is_the_same_document() -> None:
    document = onvif_metadata(hit_event())
    assert document is not None
    assert json.loads(encode(document))["VideoAnalytics"]["Frame"][0]["Object"][0]["@ObjectId"] == 7

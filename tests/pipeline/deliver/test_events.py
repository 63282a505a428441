import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from pipeline.deliver import events
from pipeline.messages import (
    Clock,
    EndReason,
    Hit,
    HitBest,
    HitDecision,
    HitIdentity,
    HitState,
    Mask,
    PictureRef,
    RetractReason,
)

SCHEMA_FILE = Path("configs/schemas/hit-1.json")

CONTRACT_EXAMPLE = """
{"specversion": "1.0", "id": "<hit_id>-<revision>", "source": "/north-hall/door",
 "type": "musewatch.hit.opened", "subject": "<identity id>", "time": "2026-11-21T07:00:00.120Z",
 "datacontenttype": "application/json", "dataschema": "urn:musewatch:hit:1", "partitionkey": "door",
 "data": {"hit_id": "...", "revision": 1, "state": "opened", "reason": null, "stream_id": "door",
  "epoch": "...", "track_id": 7, "identity": {"id": "p3", "name": "...", "watchlist_version": 12},
  "purpose": "...",
  "first_pts_s": 3.1, "last_pts_s": 5.4, "decided_pts_s": 5.5, "captured_at": "...", "clock": "camera",
  "best": {"pts_s": 4.2, "frame_size": [768, 432], "box": [382.5, 13.6, 514.7, 392.1],
           "crop": {"uri": "...", "sha256": "..."}, "frame": {"uri": "...", "sha256": "..."}, "mask": null},
  "decision": {"distance": 0.41, "p_no": null, "p_no_swapped": null, "fused": null, "rank_before": 1,
               "rank_after": 1, "probability": null, "max_distance": 0.85, "margin": null, "degraded": []},
  "engines": {"detector": "sha256:...", "embedder": "sha256:...", "verifier": null}}}
"""

HIT = Hit(
    hit_id="h7",
    revision=1,
    state=HitState.OPENED,
    reason=None,
    stream_id="door",
    epoch="e1",
    track_id=7,
    identity=HitIdentity("p3", "Ada", 12),
    purpose="lost child",
    first_pts_s=3.1,
    last_pts_s=5.4,
    decided_pts_s=5.5,
    captured_at=datetime(2026, 11, 21, 7, 0, 0, 120_999, tzinfo=UTC),
    clock=Clock.CAMERA,
    best=HitBest(
        4.2, (768, 432), (382.46, 13.64, 514.71, 392.07), PictureRef("file:///a.jpg", "aa"), None, None
    ),
    decision=HitDecision(0.41000000001, None, None, None, 1, 1, None, 0.85, None, ()),
    engines={"detector": "sha256:1", "embedder": "sha256:2", "verifier": None},
)

validator = Draft202012Validator(events.hit_schema())


def key_paths(value: object, path: str = "") -> list[str]:
    if not isinstance(value, dict):
        return [path]
    return [deeper for key, inner in value.items() for deeper in key_paths(inner, f"{path}.{key}")]


def test_an_event_has_the_contract_s_keys_in_the_contract_s_order() -> None:
    hit = replace(HIT, best=replace(HIT.best, frame=PictureRef("file:///b.jpg", "bb")))
    known = key_paths(json.loads(CONTRACT_EXAMPLE))
    paths = key_paths(events.to_event(hit, "north-hall"))
    assert [path for path in paths if path in known] == known
    assert set(paths) - set(known) == {".data.best.distance", ".data.continued_from"}, "more may be told"


def test_an_event_of_a_version_that_told_less_is_a_hit() -> None:
    event = events.to_event(HIT, "north-hall")
    del event["data"]["best"]["distance"]
    assert events.to_hit(json.loads(events.encode(event))).best.distance is None


def test_envelope_and_rounding() -> None:
    event = events.to_event(HIT, "north-hall")
    assert event["id"] == "h7-1"
    assert event["source"] == "/north-hall/door"
    assert event["subject"] == "p3"
    assert event["partitionkey"] == "door"
    assert event["time"] == event["data"]["captured_at"] == "2026-11-21T07:00:00.120Z"
    assert event["data"]["best"]["box"] == [382.5, 13.6, 514.7, 392.1]
    assert event["data"]["decision"]["distance"] == 0.41


def test_numbers_have_six_digits_and_stay_the_same_when_they_are_read_back() -> None:
    event = events.to_event(replace(HIT, first_pts_s=1 / 3), "s")
    assert event["data"]["first_pts_s"] == 0.333333
    hit = events.to_hit(json.loads(events.encode(event)))
    assert (hit.hit_id, hit.state, hit.identity, hit.clock) == (
        "h7",
        HitState.OPENED,
        HIT.identity,
        Clock.CAMERA,
    )
    assert events.to_event(hit, "s") == event


def test_what_is_no_hit_is_not_read_as_one() -> None:
    with pytest.raises(ValueError, match="data"):
        events.to_hit(events.to_event(HIT, "s") | {"data": {}})


def test_time_is_utc_whatever_the_clock_s_zone() -> None:
    hit = replace(HIT, captured_at=HIT.captured_at.astimezone(timezone(timedelta(hours=5, minutes=30))))
    assert events.to_event(hit, "s")["time"] == "2026-11-21T07:00:00.120Z"


def test_mask_is_run_lengths_or_null() -> None:
    hit = replace(HIT, best=replace(HIT.best, mask=Mask((3, 4, 5), (432, 768))))
    assert events.to_event(hit, "s")["data"]["best"]["mask"] == {"counts": [3, 4, 5], "size": [432, 768]}
    assert events.to_event(HIT, "s")["data"]["best"]["mask"] is None


def test_numpy_numbers_leave_as_json_numbers() -> None:
    best = replace(HIT.best, box=tuple(np.array([1, 2, 3, 4.26], np.float32)))
    decision = replace(HIT.decision, distance=np.float32(0.41), rank_before=np.int64(2))  # type: ignore[arg-type]
    event = json.loads(events.encode(events.to_event(replace(HIT, best=best, decision=decision), "s")))
    assert event["data"]["best"]["box"] == [1, 2, 3, 4.3]
    assert event["data"]["decision"]["distance"] == 0.41
    assert event["data"]["decision"]["rank_before"] == 2


def test_encoding_is_stable_through_a_round_trip() -> None:
    event = events.to_event(replace(HIT, identity=HitIdentity("p3", "Åsa \ud800", 1)), "s")
    data = events.encode(event)
    assert b", " not in data
    assert "Åsa".encode() in data
    assert events.encode(json.loads(data)) == data


def test_a_number_that_is_not_finite_is_refused() -> None:
    event = events.to_event(replace(HIT, decision=replace(HIT.decision, distance=float("nan"))), "s")
    with pytest.raises(ValueError, match="not JSON compliant"):
        events.encode(event)


@pytest.mark.parametrize("state", list(HitState))
@pytest.mark.parametrize("reason", [None, *EndReason, *RetractReason])
def test_events_satisfy_the_schema(state: HitState, reason: EndReason | RetractReason | None) -> None:
    hit = replace(HIT, state=state, reason=reason, best=replace(HIT.best, mask=Mask((1,), (2, 3))))
    validator.validate(json.loads(events.encode(events.to_event(hit, "north-hall"))))


def test_the_contract_s_example_satisfies_the_schema() -> None:
    validator.validate(json.loads(CONTRACT_EXAMPLE))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("specversion",), "0.3"),
        (("time",), "2026-11-21 07:00:00"),
        (("data", "state"), "lost"),
        (("data", "best", "box"), [1, 2, 3]),
        (("data", "identity"), "p3"),
        (("data", "decision", "max_distance"), None),
    ],
)
def test_the_schema_refuses_what_is_wrong(path: tuple[str, ...], value: object) -> None:
    event = events.to_event(HIT, "s")
    *way, last = path
    place = event
    for key in way:
        place = place[key]
    place[last] = value
    assert not validator.is_valid(json.loads(events.encode(event)))


def test_the_schema_allows_more_fields() -> None:
    event = events.to_event(HIT, "s")
    event["data"]["more"] = 1
    assert validator.is_valid(json.loads(events.encode(event)))


def test_the_published_schema_is_up_to_date() -> None:
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == events.hit_schema()


def test_an_interrupted_close_depends_on_the_last_event_alone() -> None:
    last = events.to_event(replace(HIT, revision=4, state=HitState.UPDATED), "s")
    close = events.interrupted(last)
    assert close == events.interrupted(json.loads(events.encode(last)))
    assert close["id"] == f"h7-{events.LAST_REVISION + 4}"
    assert close["type"] == "musewatch.hit.closed"
    assert close["data"]["state"] == "closed"
    assert close["data"]["reason"] == "interrupted"
    assert close["data"]["revision"] > last["data"]["revision"]
    assert last["data"]["state"] == "updated"
    validator.validate(close)


def test_a_trial_event_is_a_whole_envelope_and_no_hit() -> None:
    event = events.trial_event("north-hall", datetime(2026, 11, 21, tzinfo=UTC))
    assert event == {
        "specversion": "1.0",
        "id": "test-1795219200.000000",
        "source": "/north-hall/test",
        "type": "musewatch.test",
        "subject": "test",
        "time": "2026-11-21T00:00:00.000Z",
        "datacontenttype": "application/json",
        "partitionkey": "test",
        "data": {"message": "sent by musewatch hits test"},
    }
    assert not validator.is_valid(event)

"""A hit's event with everything in it, for tests of what reads one."""

from typing import Any


def hit_event(state: str = "opened", number: int = 1, stream: str = "door", **data: Any) -> dict[str, Any]:
    """One hit in one state; `data` overrides fields of the hit."""
    hit_id = f"h{number}"
    revision = {"opened": 1, "updated": 2, "closed": 3}.get(state, 2_000_000)
    hit = {
        "hit_id": hit_id, "revision": revision, "state": state, "stream_id": stream, "epoch": "e1", "track_id": 7,
        "reason": {"closed": "track_ended", "retracted": "identity_changed"}.get(state),
        "identity": {"id": "p3", "name": "Åsa <A> & Co", "watchlist_version": 12}, "purpose": None,
        "first_pts_s": 3.1, "last_pts_s": 5.4, "decided_pts_s": 5.5,
        "captured_at": "2026-11-21T07:00:00.120Z", "clock": "camera",
        "best": {
            "pts_s": 4.2, "frame_size": [768, 432], "box": [382.5, 13.6, 514.7, 392.1],
            "crop": {"uri": "file:///e/c.jpg", "sha256": "c1"}, "frame": {"uri": "file:///e/f.jpg", "sha256": "f1"},
            "mask": None, "distance": 0.4,
        },
        "decision": {
            "distance": 0.41, "p_no": None, "p_no_swapped": None, "fused": None, "rank_before": 1, "rank_after": 1,
            "probability": None, "max_distance": 0.85, "margin": None, "degraded": [],
        },
        "engines": {"detector": "sha256:d", "embedder": "sha256:e", "verifier": None}, "continued_from": None,
    }  # fmt: skip
    return {
        "specversion": "1.0", "id": f"{hit_id}-{revision}", "source": f"/north-hall/{stream}",
        "type": f"musewatch.hit.{state}", "subject": "p3", "time": "2026-11-21T07:00:00.120Z",
        "datacontenttype": "application/json", "dataschema": "urn:musewatch:hit:1", "partitionkey": stream,
        "data": hit | data,
    }  # fmt: skip

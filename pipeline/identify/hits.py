"""The life of a hit: opened, updated while the evidence improves, closed with its track."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pipeline.deliver.events import LAST_REVISION
from pipeline.identify.decide import Accepted, CoolDown
from pipeline.messages import (
    EndReason,
    Hit,
    HitBest,
    HitDecision,
    HitIdentity,
    HitState,
    TrackKey,
    Tracklet,
)

NEARER = 0.01  # a distance must fall by this much to be worth an update of its own


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found out about one tracklet: who it is, on whose word; `accepted` None = nobody known."""

    tracklet: Tracklet
    accepted: Accepted | None
    identity: HitIdentity | None
    purpose: str | None


class HitBook:
    """The open hits of every track.

    State is keyed by `TrackKey` and ends with the track's last tracklet. One hit at most per (track, identity).
    Revisions follow from the tracklet's number, so that whoever takes over makes the same ids: 1 opens, the
    number updates, the last number + 1 closes; a close that does not follow from the stream alone (stopped,
    stream lost) lies above `LAST_REVISION`.

    Args:
        site: Goes into the hit's id.
        max_distance: The cut of pictures; every hit shows that of the enrolment it was found by.
        cooldown: Keeps an identity from being opened again at once.
        show: Stores the evidence of a tracklet and gives its references.
    """

    def __init__(
        self,
        site: str,
        max_distance: float,
        cooldown: CoolDown,
        show: Callable[[Tracklet], HitBest],
    ) -> None:
        self._site = site
        self._max_distance = max_distance
        self._cooldown = cooldown
        self._show = show
        self._open: dict[TrackKey, dict[str, Hit]] = {}

    def __len__(self) -> int:
        return sum(len(hits) for hits in self._open.values())

    def record(self, answer: Answer) -> list[Hit]:
        """What is to be reported now, in order."""
        tracklet = answer.tracklet
        hits = self._open.setdefault(tracklet.key, {})
        news: list[Hit] = []
        if answer.accepted is not None and answer.identity is not None:
            known = hits.get(answer.identity.id)
            hit = self._better(known, answer) if known else self._opened(hits, answer)
            if hit is not None:
                hits[answer.identity.id] = hit
                news.append(hit)
        if tracklet.end is not None:
            news = [hit for hit in news if hit.state is HitState.OPENED]
            news += [_closed(hit, tracklet, tracklet.end) for hit in hits.values()]
        if tracklet.end is not None or not hits:
            del self._open[tracklet.key]
        return news

    def recall(self, hit: Hit) -> None:
        """A hit that another process reported: its cool-down counts here too."""
        at = hit.captured_at + timedelta(seconds=hit.decided_pts_s - hit.best.pts_s)
        self._cooldown.start(hit.identity.id, hit.stream_id, at)

    def adopt(self, hit: Hit) -> None:
        """Goes on with a hit that another process has opened and not closed."""
        key = TrackKey(hit.stream_id, hit.epoch, hit.track_id)
        self._open.setdefault(key, {})[hit.identity.id] = hit

    def forget(self, key: TrackKey) -> None:
        """Leaves the hits of a track to somebody else, open as they are."""
        self._open.pop(key, None)

    def _opened(self, hits: dict[str, Hit], answer: Answer) -> Hit | None:
        """A new hit, unless the track already stands nearer to somebody else or the cool-down forbids it."""
        tracklet, accepted, identity = answer.tracklet, answer.accepted, answer.identity
        assert accepted is not None
        assert identity is not None
        if any(self._counted(hit) <= accepted.verdict.candidate.distance for hit in hits.values()):
            return None
        at = decided_at(tracklet)
        if not self._cooldown.allows(identity.id, tracklet.key.stream_id, at):
            return None
        self._cooldown.start(identity.id, tracklet.key.stream_id, at)
        return Hit(
            hit_id=hit_id(self._site, tracklet.key, identity.id),
            revision=1,
            state=HitState.OPENED,
            reason=None,
            stream_id=tracklet.key.stream_id,
            epoch=tracklet.key.epoch,
            track_id=tracklet.key.track_id,
            identity=identity,
            purpose=answer.purpose,
            first_pts_s=tracklet.first_pts_s,
            last_pts_s=tracklet.last_pts_s,
            decided_pts_s=tracklet.decided_pts_s,
            captured_at=tracklet.best.captured_at,
            clock=tracklet.clock,
            best=self._show(tracklet),
            decision=self._decision(tracklet, accepted),
            engines=dict(tracklet.engines),
        )

    def _better(self, known: Hit, answer: Answer) -> Hit | None:
        """The hit with newer evidence, when that says more than the old."""
        tracklet, accepted = answer.tracklet, answer.accepted
        assert accepted is not None
        if tracklet.number <= known.revision or tracklet.decided_pts_s < known.decided_pts_s:
            return None
        seen_better = tracklet.best.pts_s != known.best.pts_s
        nearer = accepted.verdict.candidate.distance <= self._counted(known) - NEARER
        if not (seen_better or nearer):
            return None
        return replace(
            known,
            revision=tracklet.number,
            state=HitState.UPDATED,
            last_pts_s=tracklet.last_pts_s,
            captured_at=tracklet.best.captured_at,
            best=self._show(tracklet) if seen_better else known.best,
            decision=self._decision(tracklet, accepted),
        )

    def _counted(self, hit: Hit) -> float:
        """The distance of a hit less the allowance of its enrolment, as candidates have it."""
        return hit.decision.distance - (hit.decision.max_distance - self._max_distance)

    def _decision(self, tracklet: Tracklet, accepted: Accepted) -> HitDecision:
        verdict = accepted.verdict
        judged = verdict.p_no is not None
        allowance = verdict.candidate.allowance
        return HitDecision(
            distance=verdict.candidate.distance + allowance,
            p_no=verdict.p_no,
            p_no_swapped=verdict.p_no_swapped,
            fused=verdict.fused + allowance if judged else None,
            rank_before=verdict.candidate.rank,
            rank_after=verdict.rank,
            probability=None,
            max_distance=self._max_distance + allowance,
            margin=accepted.lead,
            degraded=(*tracklet.degraded, *verdict.degraded),
        )


def hit_id(site: str, key: TrackKey, identity_id: str) -> str:
    """The same for the same site, stream, epoch, track and identity; 32 hex digits."""
    parts = "\0".join([site, key.stream_id, key.epoch, str(key.track_id), identity_id])
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def decided_at(tracklet: Tracklet) -> datetime:
    """Wall clock of the question, on the clock of the tracklet's crops."""
    return tracklet.best.captured_at + timedelta(seconds=tracklet.decided_pts_s - tracklet.best.pts_s)


def _closed(hit: Hit, tracklet: Tracklet, reason: EndReason) -> Hit:
    follows = reason is EndReason.TRACK_ENDED
    revision = tracklet.number + 1 if follows else LAST_REVISION + tracklet.number
    return replace(
        hit, revision=revision, state=HitState.CLOSED, reason=reason, last_pts_s=tracklet.last_pts_s
    )

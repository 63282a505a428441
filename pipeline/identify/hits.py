"""The life of a hit: opened, updated while the evidence improves, closed with its track; or retracted."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pipeline.deliver.events import LAST_REVISION, RETRACTED_REVISION
from pipeline.identify.calibration import excess_of
from pipeline.identify.decide import Accepted, CoolDown
from pipeline.identify.show import PICTURES
from pipeline.messages import (
    EndReason,
    Hit,
    HitBest,
    HitDecision,
    HitIdentity,
    HitState,
    RetractReason,
    TrackKey,
    Tracklet,
)

NEARER = 0.01  # a distance must fall by this much to be worth an update of its own
MISTAKEN = 0.05  # nearer to somebody else by so much, what a hit shows is them

Sight = tuple[str, float]
"""A hit's id, and when what it shows was seen."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found out about one tracklet.

    Attributes:
        tracklet: The question, what shows who was found as its best crop.
        accepted: On whose word; None = nobody known.
        identity: Who it is.
        purpose: Of looking for them.
        distances: Of each crop alone to the enrolment, by the crop's time.
    """

    tracklet: Tracklet
    accepted: Accepted | None
    identity: HitIdentity | None
    purpose: str | None
    distances: Mapping[float, float] = field(default_factory=dict)

    @property
    def sight_distance(self) -> float | None:
        """Of the best crop alone; None where nobody compared."""
        return self.distances.get(self.tracklet.best.pts_s)


def nobody(tracklet: Tracklet) -> Answer:
    """Nobody known."""
    return Answer(tracklet, None, None, None)


@dataclass(frozen=True, slots=True)
class Report:
    """What is to be reported; `shows` is the answer whose best sight the hit shows and has no pictures of yet."""

    hit: Hit
    shows: Answer | None = None

    @property
    def sight(self) -> Sight:
        """Names what is shown."""
        return sight_of(self.hit)


class HitBook:
    """The open hits of every track.

    State is keyed by `TrackKey` and ends with the track's last tracklet. One hit at most per (track, identity).
    Revisions follow from the tracklet's number, so that whoever takes over makes the same ids: 1 opens, the
    number updates, the last number + 1 closes; a close that does not follow from the stream alone (stopped,
    stream lost) lies above `LAST_REVISION`, what is taken back above `RETRACTED_REVISION`.

    A hit is opened and updated by the excess of its verdict, whatever kind of distance that was. What it shows changes
    only to what is nearer to the identity. Where it turns out to show somebody else the hit is retracted, and the
    identity may be found on another track at once. Its pictures are made outside, and given back to `keep`.

    Args:
        site: Goes into the hit's id.
        cooldown: Keeps an identity from being opened again at once.
    """

    def __init__(self, site: str, cooldown: CoolDown) -> None:
        self._site = site
        self._cooldown = cooldown
        self._open: dict[TrackKey, dict[str, Hit]] = {}

    def __len__(self) -> int:
        return sum(hit.state.is_open for hits in self._open.values() for hit in hits.values())

    def record(self, answer: Answer) -> list[Report]:
        """What is to be reported now, in order."""
        tracklet = answer.tracklet
        hits = self._open.setdefault(tracklet.key, {})
        news = self._retracted(hits, answer)
        if answer.accepted is not None and answer.identity is not None:
            known = hits.get(answer.identity.id)
            report = self._better(known, answer) if known else self._opened(hits, answer)
            if report is not None:
                hits[answer.identity.id] = report.hit
                news.append(report)
        if tracklet.end is not None:
            shown = {report.sight: report.shows for report in news}
            news = [report for report in news if report.hit.state is not HitState.UPDATED]
            closed = [_closed(hit, tracklet, tracklet.end) for hit in hits.values() if hit.state.is_open]
            news += [Report(hit, shown.get(sight_of(hit))) for hit in closed]
        if tracklet.end is not None or not hits:
            del self._open[tracklet.key]
        return news

    def may_report(self, tracklet: Tracklet, identity_id: str, excess: float) -> bool:
        """Whether anything may come of this identity for a tracklet, found with such an excess."""
        hits = self._open.get(tracklet.key, {})
        if identity_id in hits:
            return hits[identity_id].state.is_open
        return self._may_open(hits, tracklet, identity_id, excess)

    def keep(self, hit: Hit) -> None:
        """Remembers the pictures of a hit that was reported."""
        hits = self._open.get(TrackKey(hit.stream_id, hit.epoch, hit.track_id), {})
        known = hits.get(hit.identity.id)
        if known is not None and sight_of(known) == sight_of(hit):
            decision = replace(known.decision, degraded=hit.decision.degraded)
            hits[hit.identity.id] = replace(known, best=hit.best, decision=decision)

    def recall(self, hit: Hit) -> None:
        """A hit that another process reported: its cool-down counts here too."""
        if hit.state is HitState.RETRACTED:
            return
        at = hit.captured_at + timedelta(seconds=hit.decided_pts_s - hit.best.pts_s)
        self._cooldown.start(hit.identity.id, hit.stream_id, at)

    def adopt(self, hit: Hit) -> None:
        """Goes on with a hit that another process has opened and not closed; one that it took back stays so."""
        key = TrackKey(hit.stream_id, hit.epoch, hit.track_id)
        self._open.setdefault(key, {})[hit.identity.id] = hit

    def forget(self, key: TrackKey) -> None:
        """Leaves the hits of a track to somebody else, open as they are."""
        self._open.pop(key, None)

    def _retracted(self, hits: dict[str, Hit], answer: Answer) -> list[Report]:
        """Takes back the hits of a track that show somebody else, as it turns out now."""
        tracklet = answer.tracklet
        wrong = [hit for hit in hits.values() if hit.state.is_open and _shows_another(hit, answer)]
        for hit in wrong:
            self._cooldown.lift(hit.identity.id, hit.stream_id)
            hits[hit.identity.id] = replace(
                hit,
                revision=RETRACTED_REVISION + tracklet.number,
                state=HitState.RETRACTED,
                reason=RetractReason.IDENTITY_CHANGED,
                decided_pts_s=tracklet.decided_pts_s,
            )
        return [Report(hits[hit.identity.id]) for hit in wrong]

    def _opened(self, hits: dict[str, Hit], answer: Answer) -> Report | None:
        """A new hit, where one may be opened."""
        tracklet, accepted, identity = answer.tracklet, answer.accepted, answer.identity
        assert accepted is not None
        assert identity is not None
        if not self._may_open(hits, tracklet, identity.id, accepted.excess):
            return None
        self._cooldown.start(identity.id, tracklet.key.stream_id, decided_at(tracklet))
        hit = Hit(
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
            best=_without_pictures(answer),
            decision=_decision(tracklet, accepted),
            engines=dict(tracklet.engines),
        )
        return Report(hit, answer)

    def _may_open(self, hits: dict[str, Hit], tracklet: Tracklet, identity_id: str, excess: float) -> bool:
        """Unless the track already stands nearer to somebody else or the cool-down forbids it."""
        if any(excess_of(hit.decision) <= excess for hit in hits.values() if hit.state.is_open):
            return False
        return self._cooldown.allows(identity_id, tracklet.key.stream_id, decided_at(tracklet))

    def _better(self, known: Hit, answer: Answer) -> Report | None:
        """The hit with newer evidence, when that says more than the old."""
        tracklet, accepted = answer.tracklet, answer.accepted
        assert accepted is not None
        if (
            not known.state.is_open
            or tracklet.number <= known.revision
            or tracklet.decided_pts_s < known.decided_pts_s
        ):
            return None
        seen_better = _shows_better(answer, known.best)
        nearer = accepted.excess <= excess_of(known.decision) - NEARER
        if not (seen_better or nearer):
            return None
        decision = (
            _decision(tracklet, accepted) if accepted.excess <= excess_of(known.decision) else known.decision
        )
        missing = () if seen_better else tuple(p for p in known.decision.degraded if p in PICTURES)
        others = tuple(part for part in decision.degraded if part not in PICTURES)
        decision = replace(decision, degraded=(*others, *missing))
        hit = replace(
            known,
            revision=tracklet.number,
            state=HitState.UPDATED,
            last_pts_s=tracklet.last_pts_s,
            captured_at=tracklet.best.captured_at if seen_better else known.captured_at,
            best=_without_pictures(answer) if seen_better else known.best,
            decision=decision,
        )
        return Report(hit, answer if seen_better else None)


def _shows_another(hit: Hit, answer: Answer) -> bool:
    """Whether what a hit shows is nearer to somebody else, whom a surer answer of the same kind names."""
    accepted, distance = answer.accepted, answer.distances.get(hit.best.pts_s)
    if accepted is None or answer.identity is None or answer.identity.id == hit.identity.id:
        return False
    is_surer = (
        accepted.excess < excess_of(hit.decision) and accepted.max_distance == hit.decision.max_distance
    )
    if not is_surer or distance is None or hit.best.distance is None:
        return False
    return distance <= hit.best.distance - MISTAKEN


def _shows_better(answer: Answer, known: HitBest) -> bool:
    """Whether the answer has another sight, nearer to the identity than what is shown."""
    best = answer.tracklet.best
    if best.pts_s == known.pts_s or answer.sight_distance is None:
        return False
    return known.distance is None or answer.sight_distance <= known.distance - NEARER


def _without_pictures(answer: Answer) -> HitBest:
    """The best sight of a tracklet as long as its pictures are not made."""
    best, size = answer.tracklet.best, answer.tracklet.scene.size
    return HitBest(best.pts_s, size, best.box, None, None, None, answer.sight_distance)


def _decision(tracklet: Tracklet, accepted: Accepted) -> HitDecision:
    verdict = accepted.verdict
    return HitDecision(
        distance=verdict.candidate.distance,
        p_no=verdict.p_no,
        p_no_swapped=verdict.p_no_swapped,
        fused=verdict.fused if verdict.judged else None,
        rank_before=verdict.candidate.rank,
        rank_after=verdict.rank,
        probability=accepted.probability,
        max_distance=accepted.max_distance,
        margin=accepted.lead,
        degraded=(*tracklet.degraded, *verdict.degraded),
    )


def sight_of(hit: Hit) -> Sight:
    """Names what a hit shows."""
    return hit.hit_id, hit.best.pts_s


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

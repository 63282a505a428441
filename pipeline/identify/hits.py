"""The life of a hit: opened, updated while the evidence improves, closed with its track; or retracted."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pipeline.deliver.events import CONTINUED_REVISIONS, LAST_REVISION, RETRACTED_REVISION
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
UNLIKE_SHARE = (
    1.2  # of a track's distance to somebody; its nearest sight farther than this shows somebody else
)
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
    number updates, the last number + 1 closes; a track that takes a hit over counts on from the next multiple of
    `CONTINUED_REVISIONS`; a close that does not follow from the stream alone (stopped, stream lost) lies above
    `LAST_REVISION`, what is taken back above `RETRACTED_REVISION`.

    A hit is opened and updated by the excess of its verdict, whatever kind of distance that was. What it shows changes
    only to what is nearer to the identity. Where it turns out to show somebody else the hit is retracted, and the
    identity may be found on another track at once. Where its track is lost and its person found on one that began
    later, it goes on with that one. Its pictures are made outside, and given back to `keep`.

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
            report = self._better(known, answer) if known else self._begun(hits, answer)
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
        return not _is_surer_of_another(hits, excess) and (
            self._lost(tracklet, identity_id) is not None
            or self._cooldown.allows(identity_id, tracklet.key.stream_id, decided_at(tracklet))
        )

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

    def adopt(self, key: TrackKey, hit: Hit) -> None:
        """Goes on with a hit of a track that another process has opened; one that it took back stays so.

        Args:
            key: The track.
            hit: Not closed; or taken over from this track, which then opens no other.
        """
        own = hit.track_id == key.track_id
        self._open.setdefault(key, {})[hit.identity.id] = hit if own else _handed_over(hit)

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
                revision=RETRACTED_REVISION + _revision(hit, tracklet.number),
                state=HitState.RETRACTED,
                reason=RetractReason.IDENTITY_CHANGED,
                decided_pts_s=tracklet.decided_pts_s,
            )
        return [Report(hits[hit.identity.id]) for hit in wrong]

    def _begun(self, hits: dict[str, Hit], answer: Answer) -> Report | None:
        """The hit of a lost track that this one continues, else a new one, where it may be."""
        accepted, identity = answer.accepted, answer.identity
        assert accepted is not None
        assert identity is not None
        if _is_surer_of_another(hits, accepted.excess) or _shows_nobody(answer):
            return None
        lost = self._lost(answer.tracklet, identity.id)
        return self._opened(answer) if lost is None else self._continued(lost, answer)

    def _lost(self, tracklet: Tracklet, identity_id: str) -> Hit | None:
        """The open hit of somebody on a track that was lost before the tracklet's began."""
        for track_id in tracklet.lost:
            hit = self._open.get(tracklet.key._replace(track_id=track_id), {}).get(identity_id)
            if (
                hit is not None
                and hit.state.is_open
                and hit.revision < LAST_REVISION - 2 * CONTINUED_REVISIONS
            ):
                return hit
        return None

    def _continued(self, lost: Hit, answer: Answer) -> Report:
        """The hit of a lost track goes on with the track on which its person was found."""
        tracklet = answer.tracklet
        self._open[tracklet.key._replace(track_id=lost.track_id)][lost.identity.id] = _handed_over(lost)
        hit = replace(
            lost,
            revision=(lost.revision // CONTINUED_REVISIONS + 1) * CONTINUED_REVISIONS,
            state=HitState.UPDATED,
            track_id=tracklet.key.track_id,
            last_pts_s=tracklet.last_pts_s,
            continued_from=lost.track_id,
        )
        better = self._better(hit, answer)
        return better or Report(replace(hit, revision=_revision(hit, tracklet.number)))

    def _opened(self, answer: Answer) -> Report | None:
        """A new hit, where the cool-down allows it."""
        tracklet, accepted, identity = answer.tracklet, answer.accepted, answer.identity
        assert accepted is not None
        assert identity is not None
        if not self._cooldown.allows(identity.id, tracklet.key.stream_id, decided_at(tracklet)):
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

    def _better(self, known: Hit, answer: Answer) -> Report | None:
        """The hit with newer evidence, when that says more than the old."""
        tracklet, accepted = answer.tracklet, answer.accepted
        assert accepted is not None
        revision = _revision(known, tracklet.number)
        if (
            not known.state.is_open
            or revision <= known.revision
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
            revision=revision,
            state=HitState.UPDATED,
            last_pts_s=tracklet.last_pts_s,
            captured_at=tracklet.best.captured_at if seen_better else known.captured_at,
            best=_without_pictures(answer) if seen_better else known.best,
            decision=decision,
        )
        return Report(hit, answer if seen_better else None)


def _is_surer_of_another(hits: Mapping[str, Hit], excess: float) -> bool:
    """Whether a track already stands as near or nearer to one of its hits."""
    return any(excess_of(hit.decision) <= excess for hit in hits.values() if hit.state.is_open)


def _shows_nobody(answer: Answer) -> bool:
    """Whether a track is near to somebody only by what cannot be shown: its clear sights are of other people."""
    assert answer.accepted is not None
    sight, track = answer.sight_distance, answer.accepted.verdict.candidate.distance
    return sight is not None and sight > UNLIKE_SHARE * track + NEARER


def _handed_over(hit: Hit) -> Hit:
    """What stays with the track that a hit was taken over from: it opens no other."""
    return replace(hit, state=HitState.CLOSED)


def _revision(hit: Hit, number: int) -> int:
    """Of a hit, by a question about its track."""
    if hit.continued_from is None:
        return number
    return hit.revision // CONTINUED_REVISIONS * CONTINUED_REVISIONS + min(number, CONTINUED_REVISIONS - 2)


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
    revision = (
        _revision(hit, tracklet.number) + 1 if follows else LAST_REVISION + _revision(hit, tracklet.number)
    )
    return replace(
        hit, revision=revision, state=HitState.CLOSED, reason=reason, last_pts_s=tracklet.last_pts_s
    )

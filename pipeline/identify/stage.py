"""From tracklets to hits: shortlist, verify, decide, show, report."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from pipeline.follow.questions import Ripeness
from pipeline.identify.calibration import Cuts
from pipeline.identify.decide import accept
from pipeline.identify.hits import Answer, HitBook, Report, nobody
from pipeline.identify.shortlist import Matcher
from pipeline.identify.show import Evidence, Look, distances_to, nearest_sight
from pipeline.messages import Candidate, EndReason, Hit, HitIdentity, TrackKey, Tracklet, Verdict
from pipeline.plugged import MaskQuestion, PluggedVerifier
from pipeline.watchlist.snapshot import WatchlistSnapshot

ANY_IS_RIPE = Ripeness(1, 0.0)


class IdentifyStage:
    """Asks tracklets against the watchlist and keeps the hits that come of it.

    State: the latest tracklet of every track in view, forgotten with the track's last one.

    Args:
        matcher: Makes the shortlist.
        verifier: Judges it; asked once a batch.
        book: The life of the hits.
        evidence: Makes what they show, once a batch, when all is decided.
        cuts: Where a hit begins; with a calibration, for every size of watchlist.
        margin: Least lead over the next identity.
        ripeness: Tells the questions that come before a track has shown enough.
        sure_share: Of the cut, in [0, 1]; these are hits only within it.
    """

    def __init__(
        self,
        matcher: Matcher,
        verifier: PluggedVerifier,
        book: HitBook,
        evidence: Evidence,
        *,
        cuts: Cuts,
        margin: float,
        ripeness: Ripeness = ANY_IS_RIPE,
        sure_share: float = 1.0,
    ) -> None:
        self._matcher = matcher
        self._verifier = verifier
        self._book = book
        self._evidence = evidence
        self._cuts = self._all_cuts = cuts
        self._margin = margin
        self._ripeness, self._sure_share = ripeness, sure_share
        self._watchlist: WatchlistSnapshot | None = None
        self._somebody_left = False  # and the verifier has not forgotten them yet
        self._latest: dict[TrackKey, Tracklet] = {}

    def use(self, watchlist: WatchlistSnapshot) -> Iterable[Hit]:
        """Asks against this watchlist from now on, the people in view at once; what comes of that."""
        before, self._watchlist = self._watchlist, watchlist
        if before is not None and not np.isin(before.enrolment_ids, watchlist.enrolment_ids).all():
            self._somebody_left = True
        self._forget_who_left()
        self._cuts = self._all_cuts.at(watchlist.identity_ids, watchlist.is_text)
        self._matcher.use(watchlist)
        return self._ask(list(self._latest.values()))

    def on_batch(self, items: Sequence[Tracklet]) -> Iterable[Hit]:
        """Hits opened, updated and closed, in order."""
        for item in items:
            if item.end is None:
                self._latest[item.key] = item
            else:
                self._latest.pop(item.key, None)
        return self._ask(items)

    def interrupt(self, keys: Iterable[TrackKey]) -> list[Hit]:
        """Closes what is open of tracks of which no word will come any more."""
        last = [
            replace(self._latest.pop(key), end=EndReason.INTERRUPTED) for key in keys if key in self._latest
        ]
        return self._shown([report for item in last for report in self._book.record(nobody(item))])

    def forget(self, keys: Iterable[TrackKey]) -> None:
        """Leaves tracks to somebody else; their hits stay open."""
        for key in keys:
            self._latest.pop(key, None)
            self._book.forget(key)

    def recall(self, hits: Iterable[Hit]) -> None:
        """Hits that other processes have reported, oldest first: their cool-downs count here too."""
        for hit in hits:
            self._book.recall(hit)

    def adopt(self, key: TrackKey, hits: Iterable[Hit]) -> None:
        """Goes on with hits of a track that another process has opened and not closed."""
        for hit in hits:
            self._book.adopt(key, hit)

    def _forget_who_left(self) -> None:
        """Has the verifier forget; where it cannot, the door tells, and it is asked again with the next question."""
        if self._somebody_left:
            with suppress(Exception):
                self._verifier.forget()
                self._somebody_left = False

    def _ask(self, items: Sequence[Tracklet]) -> Iterator[Hit]:
        shortlists = self._matcher.shortlist(items)
        verdicts = self._judge(items, shortlists)
        answers = [self._answer(item, judged) for item, judged in zip(items, verdicts, strict=True)]
        return self._recorded(answers)

    def _recorded(self, answers: Iterable[Answer]) -> Iterator[Hit]:
        """The hits of all; those recorded before a tracklet that fails are in the caller's hands first."""
        reports: list[Report] = []
        failure: Exception | None = None
        try:
            for answer in answers:
                reports += self._book.record(answer)
        except Exception as error:
            failure = error
        yield from self._shown(reports)
        if failure is not None:
            raise failure

    def _judge(
        self, items: Sequence[Tracklet], shortlists: Sequence[Sequence[Candidate]]
    ) -> list[list[Verdict]]:
        self._forget_who_left()
        asked = [i for i, shortlist in enumerate(shortlists) if self._matters(items[i], shortlist)]
        if not asked:
            return [[] for _ in items]
        assert self._watchlist is not None
        wanted = {c.enrolment_id for i in asked for c in shortlists[i]}
        enrolled = self._watchlist.look_up(wanted, pictures=self._verifier.facts.needs_pictures)
        questions = [
            (items[i], [(c, enrolled[c.enrolment_id]) for c in shortlists[i] if c.enrolment_id in enrolled])
            for i in asked
        ]
        try:
            judged = dict(zip(asked, self._verifier.verify(questions), strict=True))
        except Exception:  # the door has told
            judged = {i: _by_distance(shortlists[i]) for i in asked}
        return [judged.get(i, []) for i in range(len(items))]

    def _matters(self, tracklet: Tracklet, shortlist: Sequence[Candidate]) -> bool:
        """Whether any answer could lead to a hit: not beyond all cuts, in a cool-down, or nearer to somebody else."""
        alpha = self._verifier.facts.alpha
        if alpha is None:
            return bool(shortlist)
        least = [(self._cuts.least_excess(candidate, alpha), candidate) for candidate in shortlist]
        return any(
            excess <= 0 and self._book.may_report(tracklet, candidate.identity_id, excess)
            for excess, candidate in least
        )

    def _answer(self, tracklet: Tracklet, verdicts: Sequence[Verdict]) -> Answer:
        watchlist = self._watchlist
        if watchlist is None:
            return nobody(tracklet)
        share = self._sure_share if self._ripeness.is_early(tracklet) else 1.0
        accepted = accept(verdicts, self._cuts, self._margin, len(watchlist.identities), share)
        if accepted is None:
            return nobody(tracklet)
        candidate = accepted.verdict.candidate
        identity = watchlist.identities[candidate.identity_id]
        who = HitIdentity(identity.id, identity.name, watchlist.version)
        enrolled = watchlist.look_up([candidate.enrolment_id], pictures=False)[candidate.enrolment_id]
        distances = distances_to(tracklet, enrolled.embedding)
        sight = nearest_sight(tracklet, distances)
        return Answer(tracklet.showing(sight), accepted, who, identity.purpose, distances)

    def _shown(self, reports: Sequence[Report]) -> list[Hit]:
        """The hits with what they show, all that is new of it made in one batch."""
        new = {report.sight: report.shows for report in reports if report.shows is not None}
        looks = dict(zip(new, self._evidence.show(self._with_enrolled(list(new.values()))), strict=True))
        hits = [_as_seen(report.hit, looks.get(report.sight)) for report in reports]
        for hit in hits:
            self._book.keep(hit)
        return hits

    def _with_enrolled(self, answers: Sequence[Answer]) -> list[MaskQuestion]:
        """Tracklets with whom they show, for a masker that is guided by that."""
        if not self._evidence.needs_enrolled or self._watchlist is None:
            return [(answer.tracklet, None) for answer in answers]
        ids = [a.accepted.verdict.candidate.enrolment_id if a.accepted else None for a in answers]
        enrolled = self._watchlist.look_up(id_ for id_ in ids if id_ is not None)
        return [
            (answer.tracklet, None if id_ is None else enrolled.get(id_))
            for answer, id_ in zip(answers, ids, strict=True)
        ]


def _as_seen(hit: Hit, look: Look | None) -> Hit:
    """The hit with the pictures of its best sight, when they have just been made."""
    if look is None:
        return hit
    best = replace(hit.best, crop=look.crop, frame=look.frame, mask=look.mask)
    degraded = (*hit.decision.degraded, *look.degraded)
    return replace(hit, best=best, decision=replace(hit.decision, degraded=degraded))


def _by_distance(shortlist: Sequence[Candidate]) -> list[Verdict]:
    return [
        Verdict(candidate, candidate.distance, rank=candidate.rank, degraded=("verifier",))
        for candidate in shortlist
    ]

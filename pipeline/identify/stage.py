"""From tracklets to hits: shortlist, verify, decide, mask, report."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from pipeline.identify.decide import accept
from pipeline.identify.hits import Answer, HitBook
from pipeline.identify.shortlist import Matcher
from pipeline.messages import Candidate, EndReason, Hit, HitBest, HitIdentity, TrackKey, Tracklet, Verdict
from pipeline.protocols import Codec, Masker, Verifier
from pipeline.secrets import redact
from pipeline.store.pictures import EvidenceStore
from pipeline.watchlist.snapshot import WatchlistSnapshot

logger = logging.getLogger("musewatch.identify")


class IdentifyStage:
    """Asks tracklets against the watchlist and keeps the hits that come of it.

    State: the latest tracklet of every track in view, forgotten with the track's last one.

    Args:
        matcher: Makes the shortlist.
        verifier: Judges it; asked once a batch.
        book: The life of the hits.
        max_distance: The cut.
        margin: Least lead over the next identity.
    """

    def __init__(
        self,
        matcher: Matcher,
        verifier: Verifier,
        book: HitBook,
        *,
        max_distance: float,
        margin: float,
    ) -> None:
        self._matcher = matcher
        self._verifier = verifier
        self._book = book
        self._max_distance = max_distance
        self._margin = margin
        self._watchlist: WatchlistSnapshot | None = None
        self._latest: dict[TrackKey, Tracklet] = {}

    def use(self, watchlist: WatchlistSnapshot) -> Iterable[Hit]:
        """Asks against this watchlist from now on, the people in view at once; what comes of that."""
        self._watchlist = watchlist
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
        return [hit for item in last for hit in self._book.record(Answer(item, None, None, None))]

    def forget(self, keys: Iterable[TrackKey]) -> None:
        """Leaves tracks to somebody else; their hits stay open."""
        for key in keys:
            self._latest.pop(key, None)
            self._book.forget(key)

    def recall(self, hits: Iterable[Hit]) -> None:
        """Hits that other processes have reported, oldest first: their cool-downs count here too."""
        for hit in hits:
            self._book.recall(hit)

    def adopt(self, hits: Iterable[Hit]) -> None:
        """Goes on with hits that another process has opened and not closed."""
        for hit in hits:
            self._book.adopt(hit)

    def _ask(self, items: Sequence[Tracklet]) -> Iterator[Hit]:
        """One by one: hits recorded before a tracklet that fails are in the caller's hands."""
        shortlists = self._matcher.shortlist(items)
        verdicts = self._judge(items, shortlists)
        answers = [self._answer(item, judged) for item, judged in zip(items, verdicts, strict=True)]
        return (hit for answer in answers for hit in self._book.record(answer))

    def _judge(
        self, items: Sequence[Tracklet], shortlists: Sequence[Sequence[Candidate]]
    ) -> list[list[Verdict]]:
        asked = [i for i, shortlist in enumerate(shortlists) if shortlist]
        if not asked:
            return [[] for _ in items]
        assert self._watchlist is not None
        wanted = {c.enrolment_id for i in asked for c in shortlists[i]}
        enrolled = self._watchlist.look_up(wanted, pictures=getattr(self._verifier, "needs_pictures", True))
        questions = [
            (items[i], [(c, enrolled[c.enrolment_id]) for c in shortlists[i] if c.enrolment_id in enrolled])
            for i in asked
        ]
        try:
            judged = dict(zip(asked, self._verifier.verify(questions), strict=True))
        except Exception as error:
            logger.error("the verifier failed, the plain distance decides instead: %s", redact(str(error)))
            judged = {i: _by_distance(shortlists[i]) for i in asked}
        return [judged.get(i, []) for i in range(len(items))]

    def _answer(self, tracklet: Tracklet, verdicts: Sequence[Verdict]) -> Answer:
        watchlist = self._watchlist
        nobody = Answer(tracklet, None, None, None)
        if watchlist is None:
            return nobody
        accepted = accept(verdicts, self._max_distance, self._margin, len(watchlist.identities))
        if accepted is None:
            return nobody
        identity = watchlist.identities[accepted.verdict.candidate.identity_id]
        who = HitIdentity(identity.id, identity.name, watchlist.version)
        return Answer(tracklet, accepted, who, identity.purpose)


def _by_distance(shortlist: Sequence[Candidate]) -> list[Verdict]:
    return [
        Verdict(candidate, candidate.distance, rank=candidate.rank, degraded=("verifier",))
        for candidate in shortlist
    ]


class Evidence:
    """Stores what a hit shows: crop, frame and mask.

    Args:
        store: Keeps the pictures.
        codec: Encodes the crop.
        masker: Cuts the person out.
        now: Wall clock in seconds, for the age of the pictures.
    """

    def __init__(self, store: EvidenceStore, codec: Codec, masker: Masker, now: Callable[[], float]) -> None:
        self._store = store
        self._codec = codec
        self._masker = masker
        self._now = now

    def show(self, tracklet: Tracklet) -> HitBest:
        """The best sight of a tracklet, its pictures stored; a picture that cannot be stored is null."""
        best = tracklet.best
        return HitBest(
            pts_s=best.pts_s,
            frame_size=tracklet.scene.size,
            box=best.box,
            crop=self._store.put(self._codec.encode(best.image), self._now()),
            frame=self._store.put(tracklet.scene.jpeg, self._now()),
            mask=self._masker.mask([tracklet])[0],
        )

"""From tracklets to hits."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.identify.calibration import Cuts
from pipeline.identify.decide import CoolDown
from pipeline.identify.hits import Answer, HitBook, Report
from pipeline.identify.shortlist import Matcher
from pipeline.identify.stage import IdentifyStage
from pipeline.messages import Candidate, EndReason, HitState, Mask, Scene, TrackKey, Tracklet, Verdict
from pipeline.plugged import PluggedEmbedder, PluggedVerifier
from pipeline.protocols import Codec, Enrolled, Verifier
from pipeline.testing import FakeCodec, FakeEmbedder, tracklet
from pipeline.watchlist.follower import WatchlistFollower
from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.roster import WatchlistStore
from plugins.verifier_distance import DistanceVerifier
from tests.support.evidence import evidence, exact

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CUTS = Cuts(0.2)
RED, BLUE = (0, 0, 220), (220, 0, 0)


def painted(colour: tuple[int, int, int]) -> bytes:
    return FakeCodec().encode(np.full((8, 4, 3), colour, np.uint8))


class World:
    """A watchlist on disk and a stage that asks against it."""

    def __init__(
        self,
        folder: Path,
        verifier: Verifier | None = None,
        masker: object | None = None,
        codec: Codec | None = None,
    ) -> None:
        self.store = WatchlistStore.in_folder(folder)
        self.embedder = PluggedEmbedder.of(FakeEmbedder())
        self.follower = WatchlistFollower(self.store, self.embedder, FakeCodec())
        self.stage = IdentifyStage(
            Matcher(exact(), 40, CUTS),
            PluggedVerifier.of(verifier or DistanceVerifier(DistanceVerifier.Config())),
            HitBook("hall", CoolDown(30.0)),
            evidence(folder, masker, codec),
            cuts=CUTS,
            margin=0.05,
        )

    def enrol(self, name: str, colour: tuple[int, int, int], **more: object) -> None:
        identity = Identity(name, name.title(), "test", more.get("valid_until"), NOW)  # type: ignore[arg-type]
        self.store.add(identity, [NewPicture(painted(colour), NOW)])

    def refresh(self, now: datetime = NOW) -> list[str]:
        snapshot = self.follower.refresh(now)
        return [] if snapshot is None else [f"{h.identity.id} {h.state}" for h in self.stage.use(snapshot)]

    def sight(self, colour: tuple[int, int, int], number: int = 1, **more: object) -> Tracklet:
        (vector,) = self.embedder.embed([FakeCodec().decode(painted(colour))])
        return tracklet(number=number, embedding=tuple(vector), **more)  # type: ignore[arg-type]


def test_a_known_person_is_found_and_an_unknown_one_is_a_normal_answer(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.enrol("anna", RED)
    world.refresh()
    (hit,) = world.stage.on_batch([world.sight(RED)])
    assert (hit.identity.id, hit.identity.name, hit.purpose, hit.state) == (
        "anna",
        "Anna",
        "test",
        HitState.OPENED,
    )
    assert hit.decision.distance < 0.01
    assert hit.decision.margin is None
    assert list(world.stage.on_batch([world.sight(BLUE, key=TrackKey("door", "e1", 2))])) == []


def test_whoever_is_in_view_is_asked_about_as_soon_as_somebody_is_enrolled(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.refresh()
    assert list(world.stage.on_batch([world.sight(RED)])) == []
    world.enrol("anna", RED)
    assert world.refresh() == ["anna opened"]
    world.stage.on_batch([world.sight(RED, 2, end=EndReason.TRACK_ENDED)])
    world.enrol("luca", BLUE)
    assert world.refresh() == []  # nobody is in view any more


def test_before_there_is_a_watchlist_nobody_is_known(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert list(world.stage.on_batch([world.sight(RED)])) == []
    assert list(world.stage.on_batch([])) == []


def test_whose_track_is_over_or_is_left_to_somebody_else_is_not_asked_about_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.refresh()
    keys = [TrackKey("door", "e1", number) for number in range(3)]
    list(world.stage.on_batch([world.sight(RED, key=key) for key in keys]))
    list(world.stage.on_batch([world.sight(RED, 2, key=keys[0], end=EndReason.TRACK_ENDED)]))
    world.stage.forget([keys[1], TrackKey("yard", "e1", 1)])
    world.enrol("anna", RED)
    snapshot = world.follower.refresh(NOW)
    assert snapshot is not None
    assert [hit.track_id for hit in world.stage.use(snapshot)] == [2]
    assert [(hit.track_id, hit.reason) for hit in world.stage.interrupt(keys)] == [(2, EndReason.INTERRUPTED)]
    assert world.stage.interrupt(keys) == []


def test_hits_of_another_process_are_taken_up_and_count(tmp_path: Path) -> None:
    there, here = World(tmp_path / "there"), World(tmp_path / "here")
    for world in (there, here):
        world.enrol("anna", RED)
        world.refresh()
    opened = list(there.stage.on_batch([there.sight(RED)]))
    here.stage.recall(opened)
    here.stage.adopt(TrackKey("door", "e1", 1), opened)
    (closed,) = here.stage.on_batch([here.sight(RED, 2, end=EndReason.TRACK_ENDED)])
    assert (closed.hit_id, closed.state) == (opened[0].hit_id, HitState.CLOSED)
    assert list(here.stage.on_batch([here.sight(RED, key=TrackKey("door", "e1", 2))])) == []


def test_hits_in_front_of_a_tracklet_that_fails_are_handed_on_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = HitBook.record

    def fail(book: HitBook, answer: Answer) -> list[Report]:
        if answer.tracklet.key.track_id == 2:
            raise RuntimeError("odd")
        return record(book, answer)

    monkeypatch.setattr(HitBook, "record", fail)
    world = World(tmp_path)
    world.enrol("anna", RED)
    world.refresh()
    hits = iter(world.stage.on_batch([world.sight(RED, key=TrackKey("door", "e1", n)) for n in (1, 2)]))
    assert next(hits).track_id == 1
    with pytest.raises(RuntimeError, match="odd"):
        next(hits)


def test_nobody_is_found_after_their_time(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.enrol("anna", RED, valid_until=NOW + timedelta(hours=1))
    world.refresh()
    world.refresh(NOW + timedelta(hours=1))
    assert list(world.stage.on_batch([world.sight(RED)])) == []


@pytest.mark.parametrize("enrolled", [1, 2])
def test_the_margin_keeps_like_people_apart(tmp_path: Path, enrolled: int) -> None:
    world = World(tmp_path)
    for i in range(enrolled):
        world.enrol(f"p{i}", (0, 0, 220 - i))
    world.refresh()
    assert len(list(world.stage.on_batch([world.sight(RED)]))) == (1 if enrolled == 1 else 0)


def out_of_memory(questions: object) -> list[list[Verdict]]:
    raise RuntimeError("out of memory")


@pytest.mark.parametrize("answer", [out_of_memory, lambda questions: []], ids=["raises", "says too little"])
def test_a_verifier_that_fails_is_replaced_by_the_plain_distance_and_the_hit_says_so(
    tmp_path: Path, answer: Callable[[object], list[list[Verdict]]]
) -> None:
    class Broken:
        def verify(
            self, questions: Sequence[tuple[Tracklet, Sequence[tuple[Candidate, Enrolled]]]]
        ) -> list[list[Verdict]]:
            return answer(questions)

    world = World(tmp_path, Broken())
    world.enrol("anna", RED)
    world.refresh()
    (hit,) = world.stage.on_batch([world.sight(RED)])
    assert hit.decision.degraded == ("verifier",)


def test_the_verifier_sees_pictures_and_its_word_counts(tmp_path: Path) -> None:
    class Contrary:
        def verify(
            self, questions: Sequence[tuple[Tracklet, Sequence[tuple[Candidate, Enrolled]]]]
        ) -> list[list[Verdict]]:
            ((_, pairs),) = questions
            assert [FakeCodec().decode(enrolled.picture or b"").shape for _, enrolled in pairs] == [
                (8, 4, 3)
            ] * len(pairs)
            last_first = list(reversed(pairs))
            return [[Verdict(c, fused=i / 10, p_no=0.1, rank=i + 1) for i, (c, _) in enumerate(last_first)]]

    world = World(tmp_path, Contrary())
    world.enrol("anna", RED)
    world.enrol("luca", BLUE)
    world.refresh()
    (hit,) = world.stage.on_batch([world.sight(RED)])
    assert (hit.identity.id, hit.decision.rank_before, hit.decision.rank_after) == ("luca", 2, 1)
    assert (hit.decision.fused, hit.decision.p_no, hit.decision.margin) == (0.0, 0.1, 0.1)


@pytest.mark.parametrize("wants", [True, False])
def test_pictures_are_fetched_only_for_a_verifier_that_looks_at_them(
    tmp_path: Path, wants: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Looking(DistanceVerifier):
        needs_pictures = wants

        def verify(
            self, questions: Sequence[tuple[Tracklet, Sequence[tuple[Candidate, Enrolled]]]]
        ) -> list[list[Verdict]]:
            seen.extend(bool(enrolled.picture) for _, pairs in questions for _, enrolled in pairs)
            return super().verify(questions)

    seen: list[bool] = []
    world = World(tmp_path, Looking(DistanceVerifier.Config()))
    world.enrol("anna", RED)
    world.refresh()
    fetch, fetched = WatchlistStore.pictures, list[object]()

    def pictures(store: WatchlistStore, enrolment_ids: object) -> dict[int, bytes]:
        fetched.append(enrolment_ids)
        return fetch(store, enrolment_ids)  # type: ignore[arg-type]

    monkeypatch.setattr(WatchlistStore, "pictures", pictures)
    (hit,) = world.stage.on_batch([world.sight(RED)])
    assert hit.identity.id == "anna"
    assert (seen, len(fetched)) == ([wants], int(wants))


class Cutting:
    """A masker that masks everything, but for what a test says of some sights."""

    def __init__(self, mask: Callable[[Sequence[Tracklet]], list[Mask | None]]) -> None:
        self.mask = mask


def whole(of: Tracklet) -> Mask:
    width, height = of.scene.size
    return Mask((width * height,), (height, width))


def out_of_luck(tracklets: Sequence[Tracklet]) -> list[Mask | None]:
    raise RuntimeError("out of memory")


def odd_size(tracklets: Sequence[Tracklet]) -> list[Mask | None]:
    return [Mask((6,), (2, 3)) for _ in tracklets]


@pytest.mark.parametrize(
    "mask", [out_of_luck, odd_size, lambda tracklets: []], ids=["raises", "size", "too few"]
)
def test_a_masker_that_fails_costs_the_mask_only(
    tmp_path: Path, mask: Callable[[Sequence[Tracklet]], list[Mask | None]]
) -> None:
    world = World(tmp_path, masker=Cutting(mask))
    world.enrol("anna", RED)
    world.refresh()
    (hit,) = world.stage.on_batch([world.sight(RED)])
    assert (hit.state, hit.best.mask, hit.decision.degraded) == (HitState.OPENED, None, ("mask",))
    assert hit.best.crop is not None
    (closed,) = world.stage.on_batch([world.sight(RED, 2, end=EndReason.TRACK_ENDED)])
    assert (closed.best, closed.decision.degraded) == (hit.best, ("mask",))


def test_a_codec_that_fails_costs_the_crop_only(tmp_path: Path) -> None:
    class Full(FakeCodec):
        def encode(self, image: object, quality: int = 90) -> bytes:
            raise MemoryError

    world = World(tmp_path, codec=Full())
    world.enrol("anna", RED)
    world.refresh()
    (hit,) = world.stage.on_batch([world.sight(RED)])
    assert (hit.best.crop, hit.decision.degraded) == (None, ("crop",))
    assert hit.best.frame is not None
    assert hit.best.mask is not None


def test_masks_are_made_in_one_batch_when_all_is_decided_and_one_bad_sight_costs_its_own(
    tmp_path: Path,
) -> None:
    asked: list[list[int]] = []

    def mask(tracklets: Sequence[Tracklet]) -> list[Mask | None]:
        asked.append([tracklet.key.track_id for tracklet in tracklets])
        if 2 in asked[-1]:
            raise RuntimeError("the second is odd")
        return [whole(tracklet) for tracklet in tracklets]

    world = World(tmp_path, masker=Cutting(mask))
    for name, colour in (("anna", RED), ("luca", BLUE), ("nina", (0, 220, 0))):
        world.enrol(name, colour)
    world.refresh()
    keys = [TrackKey("door", "e1", number) for number in (1, 2, 3)]
    sights = [
        world.sight(colour, key=key) for colour, key in zip((RED, BLUE, (0, 220, 0)), keys, strict=True)
    ]
    hits = list(world.stage.on_batch(sights))
    assert asked == [[1, 2, 3], [1], [2], [3]]
    assert [hit.best.mask is None for hit in hits] == [False, True, False]
    assert [hit.decision.degraded for hit in hits] == [(), ("mask",), ()]
    asked.clear()
    assert list(world.stage.on_batch([world.sight(RED, 2, key=keys[0])])) == []
    assert asked == [], "nothing new to show"


def test_what_is_opened_updated_and_closed_in_one_batch_is_shown_once_a_sight(tmp_path: Path) -> None:
    asked: list[float] = []

    def mask(tracklets: Sequence[Tracklet]) -> list[Mask | None]:
        asked.extend(tracklet.best.pts_s for tracklet in tracklets)
        return [whole(tracklet) for tracklet in tracklets]

    world = World(tmp_path, masker=Cutting(mask))
    world.enrol("anna", RED)
    world.refresh()
    hits = list(
        world.stage.on_batch(
            [
                world.sight((30, 30, 220), 1, best_pts_s=1.0),
                world.sight((15, 15, 220), 2, best_pts_s=1.5),
                world.sight(RED, 3, best_pts_s=1.8, end=EndReason.TRACK_ENDED),
            ]
        )
    )
    assert [(str(hit.state), hit.best.pts_s) for hit in hits] == [
        ("opened", 1.0),
        ("updated", 1.5),
        ("closed", 1.8),
    ]
    assert asked == [1.0, 1.5, 1.8]
    assert all(hit.best.mask and hit.best.crop for hit in hits)


def test_a_hit_shows_the_sight_nearest_to_who_was_found(tmp_path: Path) -> None:
    masked: list[tuple[float, bytes]] = []

    def mask(tracklets: Sequence[Tracklet]) -> list[Mask | None]:
        masked.extend((tracklet.best.pts_s, tracklet.scene.jpeg) for tracklet in tracklets)
        return [None for _ in tracklets]

    world = World(tmp_path, masker=Cutting(mask))
    world.enrol("anna", RED)
    world.refresh()
    near = world.sight(RED, best_pts_s=1.6)
    own = replace(
        near.best, quality=0.3, scene=Scene(FakeCodec().encode(np.full((48, 64, 3), 9, np.uint8)), (64, 48))
    )
    (large,) = world.sight((60, 60, 220), best_pts_s=1.2).crops
    small = replace(own, pts_s=1.9, quality=0.2, embedding=large.embedding)
    (hit,) = world.stage.on_batch([replace(near, crops=(large, own, small))])
    assert (hit.best.pts_s, hit.best.distance) == (1.6, pytest.approx(0, abs=1e-2))
    assert masked == [(1.6, own.scene.jpeg)], "with its own frame"


def test_a_guided_masker_is_told_who_was_found(tmp_path: Path) -> None:
    class Guided:
        guided = True

        def mask_person(self, questions: Sequence[tuple[Tracklet, Enrolled | None]]) -> list[Mask | None]:
            seen.extend((e and e.identity_id, bool(e and e.picture)) for _, e in questions)
            return [whole(tracklet) for tracklet, _ in questions]

    seen: list[tuple[str | None, bool]] = []
    world = World(tmp_path, masker=Guided())
    world.enrol("anna", RED)
    world.refresh()
    (hit,) = world.stage.on_batch([world.sight(RED)])
    assert hit.best.mask is not None
    assert seen == [("anna", True)]


class Remembering(DistanceVerifier):
    """Keeps something of everybody it is shown; forgetting fails as often as it is told to."""

    remembers = True

    def __init__(self, failures: int = 0) -> None:
        super().__init__(DistanceVerifier.Config())
        self.kept: set[str] = set()
        self._failures = failures

    def verify(self, questions: Sequence[Any]) -> list[list[Verdict]]:
        self.kept |= {candidate.identity_id for _, pairs in questions for candidate, _ in pairs}
        return super().verify(questions)

    def forget(self) -> None:
        if self._failures:
            self._failures -= 1
            raise RuntimeError("busy")
        self.kept.clear()


@pytest.mark.parametrize("failures", [0, 1])
def test_who_leaves_the_watchlist_leaves_the_verifier(tmp_path: Path, failures: int) -> None:
    verifier = Remembering(failures)
    world = World(tmp_path, verifier)
    world.enrol("anna", RED)
    world.refresh()
    list(world.stage.on_batch([world.sight(RED)]))
    world.enrol("luca", BLUE)
    world.refresh()
    assert verifier.kept == {"anna", "luca"}, "nobody left yet"
    world.store.remove("anna")
    world.refresh()
    list(world.stage.on_batch([world.sight(BLUE, 2)]))
    assert verifier.kept == {"luca"}

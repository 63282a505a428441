"""Pictures become enrolments, or are refused with the reason; what is odd is said."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.desk.enrol import EnrolReport, enrol
from pipeline.desk.portrait import PortraitMaker, RefusedError
from pipeline.errors import ConfigError
from pipeline.follow.geometry import Box
from pipeline.plugged import PluggedEmbedder
from pipeline.testing import FakeCodec, FakeDetector, FakeEmbedder
from pipeline.watchlist.records import Identity
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.snapshot import take_snapshot
from tests.support.pictures import BLUE, GREEN, RED, blurred, person, scene

NOW = datetime(2026, 11, 21, 7, tzinfo=UTC)
CODEC = FakeCodec()
PERSON_BOX = (20.0, 20.0, 100.0, 180.0)  # of the first person of 160 px in a scene
SECOND_BOX = (120.0, 20.0, 200.0, 180.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchlistStore]:
    with WatchlistStore(tmp_path / "w.db") as opened:
        yield opened


def written(folder: Path, image: NDArray[np.uint8], name: str = "a.jpg") -> Path:
    path = folder / name
    path.write_bytes(CODEC.encode(image))
    return path


def refusal(path: Path, maker: PortraitMaker) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        maker.read(path)
    return caught.value


class TestPortraits:
    def test_a_whole_picture_is_kept_byte_for_byte(self, tmp_path: Path) -> None:
        path = written(tmp_path, person(90))
        portrait = PortraitMaker(CODEC).read(path)
        assert portrait.picture == path.read_bytes()
        np.testing.assert_array_equal(portrait.image, person(90))

    def test_the_one_person_of_a_scene_is_cut_out(self, tmp_path: Path) -> None:
        path = written(tmp_path, scene(person(160)))
        portrait = PortraitMaker(CODEC, FakeDetector(PERSON_BOX)).read(path)
        np.testing.assert_array_equal(portrait.image, person(160))
        np.testing.assert_array_equal(CODEC.decode(portrait.picture), person(160))

    def test_a_box_says_which_of_several(self, tmp_path: Path) -> None:
        path = written(tmp_path, scene(person(160), person(160, BLUE)))
        np.testing.assert_array_equal(
            PortraitMaker(CODEC, box=SECOND_BOX).read(path).image, person(160, BLUE)
        )

    def test_a_box_over_the_border_is_cut_to_the_picture(self, tmp_path: Path) -> None:
        path = written(tmp_path, person(160))
        portrait = PortraitMaker(CODEC, box=(-50, -50, 500, 500)).read(path)
        np.testing.assert_array_equal(portrait.image, person(160))

    @pytest.mark.parametrize("box", [(80, 0, 90, 50), (0, 160, 50, 200), (-9, 0, 0, 50), (0, -9, 50, 0)])
    def test_a_box_outside_the_picture_is_a_wrong_command_line(self, tmp_path: Path, box: Box) -> None:
        with pytest.raises(ConfigError, match="outside the picture of 80x160 px"):
            PortraitMaker(CODEC, box=box).read(written(tmp_path, person(160)))

    def test_nobody(self, tmp_path: Path) -> None:
        error = refusal(written(tmp_path, scene()), PortraitMaker(CODEC, FakeDetector()))
        assert error.reason == "no_person"
        assert "--whole" in error.fix

    def test_several_people_come_with_their_boxes(self, tmp_path: Path) -> None:
        path = written(tmp_path, scene(person(160), person(160)))
        error = refusal(path, PortraitMaker(CODEC, FakeDetector(PERSON_BOX, SECOND_BOX)))
        assert error.reason == "several_people"
        assert error.boxes == (PERSON_BOX, SECOND_BOX)
        assert "--box 20,20,100,180 or --box 120,20,200,180" in str(error)

    def test_people_too_small_to_be_meant_do_not_count(self, tmp_path: Path) -> None:
        path = written(tmp_path, scene(person(160), person(30)))
        maker = PortraitMaker(CODEC, FakeDetector((120, 20, 135, 50), PERSON_BOX))
        np.testing.assert_array_equal(maker.read(path).image, person(160))

    @pytest.mark.parametrize(("height", "fits"), [(39, False), (40, True), (80, True)])
    def test_size_decides_at_the_limit(self, tmp_path: Path, height: int, fits: bool) -> None:
        path = written(tmp_path, person(height))
        if fits:
            assert PortraitMaker(CODEC).read(path)
        else:
            error = refusal(path, PortraitMaker(CODEC))
            assert error.reason == "too_small"
            assert f"{height // 2}x{height} px; 40 px" in str(error)

    def test_a_small_person_in_a_scene_is_too_small_not_nobody(self, tmp_path: Path) -> None:
        maker = PortraitMaker(CODEC, FakeDetector((20, 20, 35, 50)))
        assert refusal(written(tmp_path, scene(person(30))), maker).reason == "too_small"

    @pytest.mark.parametrize("shape", [(1, 1), (400, 3)])
    def test_a_single_pixel_and_a_sliver_are_too_small(self, tmp_path: Path, shape: tuple[int, int]) -> None:
        image = np.zeros((*shape, 3), np.uint8)
        assert refusal(written(tmp_path, image), PortraitMaker(CODEC)).reason == "too_small"

    @pytest.mark.parametrize("height", [80, 160, 400])
    def test_heavily_blurred(self, tmp_path: Path, height: int) -> None:
        path = written(tmp_path, blurred(person(height), 0.04))
        assert refusal(path, PortraitMaker(CODEC)).reason == "blurred"

    def test_a_blurred_person_in_a_sharp_scene(self, tmp_path: Path) -> None:
        path = written(tmp_path, scene(blurred(person(160), 0.04), person(160)))
        assert refusal(path, PortraitMaker(CODEC, FakeDetector(PERSON_BOX))).reason == "blurred"

    def test_what_is_no_picture_is_unreadable(self, tmp_path: Path) -> None:
        (tmp_path / "text.jpg").write_text("hello")
        (tmp_path / "empty.jpg").touch()
        for name in ("text.jpg", "empty.jpg", "missing.jpg", "."):
            assert refusal(tmp_path / name, PortraitMaker(CODEC)).reason == "unreadable"

    def test_a_huge_file_is_not_read(self, tmp_path: Path) -> None:
        with (tmp_path / "huge.jpg").open("wb") as file:
            file.truncate(10**12)
        error = refusal(tmp_path / "huge.jpg", PortraitMaker(CODEC))
        assert error.reason == "unreadable"
        assert "64 MB" in str(error)


def put(
    store: WatchlistStore, *paths: Path, id_: str = "p1", max_distance: float | None = 0.2
) -> EnrolReport:
    identity = Identity(id_, None, None, None, NOW)
    maker = PortraitMaker(CODEC)
    return enrol(
        store, identity, paths, maker, PluggedEmbedder.of(FakeEmbedder()), max_distance=max_distance, now=NOW
    )


class TestEnrolling:
    def test_good_pictures_go_in_although_others_are_refused(
        self, store: WatchlistStore, tmp_path: Path
    ) -> None:
        good = written(tmp_path, person(90), "good.jpg")
        tiny = written(tmp_path, person(20), "tiny.jpg")
        report = put(store, tiny, good, tmp_path / "missing.jpg")
        assert report.enrolled == 1
        assert [(r.image.name, r.error.reason) for r in report.refused] == [
            ("tiny.jpg", "too_small"), ("missing.jpg", "unreadable"),
        ]  # fmt: skip
        assert store.version == 1
        assert len(take_snapshot(store, PluggedEmbedder.of(FakeEmbedder()), NOW)) == 1

    def test_when_all_are_refused_nothing_changes(self, store: WatchlistStore, tmp_path: Path) -> None:
        assert put(store, written(tmp_path, person(20))).enrolled == 0
        assert store.version == 0
        assert store.identities() == []

    def test_the_stored_vector_is_that_of_the_stored_picture(
        self, store: WatchlistStore, tmp_path: Path
    ) -> None:
        put(store, written(tmp_path, person(90)))
        (vector,) = take_snapshot(store, PluggedEmbedder.of(FakeEmbedder()), NOW).vectors
        (again,) = PluggedEmbedder.of(FakeEmbedder()).embed([CODEC.decode(store.pictures([1])[1])])
        np.testing.assert_allclose(vector, again, atol=1e-3)

    def test_the_same_picture_twice_warns(self, store: WatchlistStore, tmp_path: Path) -> None:
        one, two = written(tmp_path, person(90), "1.jpg"), written(tmp_path, person(90), "2.jpg")
        first = put(store, one, two)
        assert first.enrolled == 2
        assert first.warnings == [f"{two} is almost the same picture as {one}"]
        assert put(store, one).warnings == [f"{one} is almost a picture already enrolled for p1"]

    def test_a_lookalike_warns_with_the_name_of_the_other(
        self, store: WatchlistStore, tmp_path: Path
    ) -> None:
        for id_, shirt in (("red", RED), ("green", GREEN)):
            assert put(store, written(tmp_path, person(90, shirt)), id_=id_).warnings == []
        (warning,) = put(store, written(tmp_path, person(120, GREEN), "twin.jpg"), id_="p3").warnings
        assert "twin.jpg looks like green" in warning

    def test_different_people_do_not_warn(self, store: WatchlistStore, tmp_path: Path) -> None:
        put(store, written(tmp_path, person(90, RED)), id_="p1")
        assert put(store, written(tmp_path, person(90, GREEN)), id_="p2").warnings == []

    def test_without_a_cut_nobody_looks_like_anybody(self, store: WatchlistStore, tmp_path: Path) -> None:
        path = written(tmp_path, person(90))
        put(store, path, id_="p1")
        assert put(store, path, id_="p2", max_distance=None).warnings == []
        assert put(store, path, id_="p2", max_distance=None).warnings != []

    def test_people_enrolled_with_another_engine_are_compared_too(
        self, store: WatchlistStore, tmp_path: Path
    ) -> None:
        path = written(tmp_path, person(90))
        other = PluggedEmbedder.of(FakeEmbedder("sha256:other"))
        identity = Identity("p1", None, None, None, NOW)
        enrol(store, identity, [path], PortraitMaker(CODEC), other, max_distance=None, now=NOW)
        (warning,) = put(store, path, id_="p2").warnings
        assert "looks like p1" in warning

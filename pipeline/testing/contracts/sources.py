"""What every source promises: frames in order, times that grow from 0, one clear end."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest

from pipeline.errors import MusewatchError, StreamError
from pipeline.messages import Frame
from pipeline.protocols import Source
from pipeline.testing.contracts.wanted import wanted


class SourceContract:
    """Give `new_source`, `count`, `missing`; `finite` where it is False; `number_of` where pictures are numbered."""

    @pytest.fixture
    def new_source(self) -> Callable[[], Any]:
        """Opens one and the same recording afresh, as often as it is called."""
        wanted("new_source, a callable that makes a source of one and the same recording")

    @pytest.fixture
    def count(self) -> int:
        """How many frames the recording has; two at least."""
        wanted("count, the number of frames of that recording")

    @pytest.fixture
    def missing(self) -> Callable[[], Any]:
        """Makes a source of something that is not there."""
        wanted("missing, a callable that makes a source of something that is not there")

    @pytest.fixture
    def finite(self) -> bool:
        """Whether the end is the end, and not a lost stream."""
        return True

    def number_of(self, frame: Frame) -> int:
        """Which picture of the recording a frame shows, from 0."""
        return frame.index

    def played(self, source: Any) -> list[Frame]:
        """All its frames; a lost stream is an end too."""
        frames: list[Frame] = []
        with suppress(StreamError):
            frames.extend(source.frames())
        return frames

    def test_it_is_a_source(self, new_source: Callable[[], Any]) -> None:
        """All attributes are there."""
        assert isinstance(new_source(), Source)

    def test_frames(self, new_source: Callable[[], Any], count: int) -> None:
        """Every frame once, in order, with a time of its own and an aware clock."""
        frames = self.played(new_source())
        assert [self.number_of(frame) for frame in frames] == list(range(count))
        assert [frame.index for frame in frames] == list(range(count))
        assert frames[0].pts_s == 0
        assert all(a.pts_s < b.pts_s for a, b in pairwise(frames))
        for frame in frames:
            assert frame.image.flags.c_contiguous
            assert frame.captured_at.utcoffset() == timedelta(0)
        assert len({frame.epoch for frame in frames}) == 1

    def test_raw_frames_are_the_same_frames(self, new_source: Callable[[], Any]) -> None:
        """Where there are such, they become what `frames` gives, also when the recording has been left."""
        if not hasattr(new_source(), "raw_frames"):
            return
        with suppress(StreamError):
            first = list(islice(new_source().raw_frames(), 3))
        for raw, frame in zip(first, islice(new_source().frames(), 3), strict=True):
            assert (raw.index, raw.epoch) == (frame.index, frame.epoch)
            assert abs(raw.pts_s - frame.pts_s) < 0.001
            np.testing.assert_array_equal(raw.converted().image, frame.image)

    def test_frames_are_the_takers_own(self, new_source: Callable[[], Any]) -> None:
        """Nothing is written over a picture once it has been handed out."""
        first, second = islice(new_source().frames(), 2)
        before = first.image.copy()
        second.image[:] = 0
        np.testing.assert_array_equal(first.image, before)

    def test_the_end(self, new_source: Callable[[], Any], count: int, finite: bool) -> None:
        """Of a recording it is the end; of a camera it is a lost stream."""
        source = new_source()
        assert getattr(source, "finite", not source.live) == finite
        if finite:
            assert len(list(source.frames())) == count
        else:
            with pytest.raises(StreamError):
                list(source.frames())

    def test_closed_is_closed(self, new_source: Callable[[], Any]) -> None:
        """A closed source gives nothing more, from any iterator."""
        source = new_source()
        frames = source.frames()
        next(frames)
        source.close()
        assert list(frames) == []
        assert list(source.frames()) == []

    def test_what_is_not_there_is_one_error_of_ours(self, missing: Callable[[], Any]) -> None:
        """At once or at the first frame; never another library's error."""
        with pytest.raises(MusewatchError):
            list(missing().frames())

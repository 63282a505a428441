"""Fakes of every protocol and suites of what each of them promises, for our tests and for other people's plugins.

The suites are in `pipeline.testing.contracts`, which needs pytest.
"""

from pipeline.testing.drawing import BLUE, GREEN, RED, person
from pipeline.testing.fakes import (
    UNDATED,
    FakeCodec,
    FakeDetector,
    FakeEmbedder,
    FakeIndex,
    FakeMasker,
    FakeReader,
    FakeTracker,
    FakeVerifier,
    ListPipe,
    ListSink,
    ListSource,
    StuckSource,
    frame,
    tracklet,
)  # fmt: skip
from pipeline.testing.remote import ListBus, ListTable
from pipeline.testing.stores import ListArchive

__all__ = [
    "BLUE", "GREEN", "RED", "UNDATED", "FakeCodec", "FakeDetector", "FakeEmbedder", "FakeIndex", "FakeMasker",
    "FakeReader", "FakeTracker", "FakeVerifier", "ListArchive", "ListBus", "ListPipe", "ListSink", "ListSource",
    "ListTable", "StuckSource", "frame", "person", "tracklet",
]  # fmt: skip

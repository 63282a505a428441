"""The plugins of this folder against the suites that musewatch ships; run where they are installed."""

import json
from dataclasses import replace

import day_shift
import numpy as np
import pytest

from pipeline.testing import contracts, frame, person


def made(kind, **settings):
    return kind(kind.Config(**settings))


def hall(*heights):
    """People in a dark hall."""
    image = np.zeros((240, 100 * len(heights), 3), np.uint8)
    for place, height in enumerate(heights):
        image[20 : 20 + height, 20 + 100 * place : 20 + 100 * place + height // 2] = person(height)
    return image


class TestSource(contracts.SourceContract):
    @pytest.fixture
    def new_source(self, tmp_path):
        np.save(tmp_path / "clip.npy", np.zeros((7, 48, 64, 3), np.uint8))
        return lambda: made(day_shift.ArraySource, path=tmp_path / "clip.npy")

    @pytest.fixture
    def count(self):
        return 7

    @pytest.fixture
    def missing(self, tmp_path):
        return lambda: made(day_shift.ArraySource, path=tmp_path / "nowhere.npy")


class TestDetector(contracts.DetectorContract):
    @pytest.fixture
    def detector(self):
        return made(day_shift.LampDetector)

    @pytest.fixture
    def frames(self):
        return [replace(frame(), image=hall(*heights)) for heights in ((120,), (120, 150), (90, 120, 140))]


class TestTracker(contracts.TrackerContract):
    @pytest.fixture
    def new_tracker(self):
        return lambda: made(day_shift.StraightTracker)


class TestEmbedder(contracts.EmbedderContract):
    @pytest.fixture
    def embedder(self):
        return made(day_shift.ThirdsEmbedder)


class TestIndex(contracts.IndexContract):
    @pytest.fixture
    def index(self):
        return made(day_shift.PlainIndex)


class TestVerifier(contracts.VerifierContract):
    @pytest.fixture
    def verifier(self):
        return made(day_shift.CredulousVerifier)


class TestMasker(contracts.MaskerContract):
    @pytest.fixture
    def masker(self):
        return made(day_shift.OvalMasker)


class TestCodec(contracts.CodecContract):
    @pytest.fixture
    def codec(self):
        return made(day_shift.PillowCodec)


class TestSink(contracts.SinkContract):
    @pytest.fixture
    def sink(self, tmp_path):
        return made(day_shift.LedgerSink, path=tmp_path / "ledger.txt")

    @pytest.fixture
    def arrived(self, tmp_path):
        return lambda: [json.loads(line)[0] for line in (tmp_path / "ledger.txt").read_text().splitlines()]


class TestBus(contracts.BusContract):
    @pytest.fixture
    def bus(self):
        return made(day_shift.CorridorBus)

"""Our trackers against the suite of their role."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.registry import build, known
from pipeline.settings import choose
from pipeline.testing import contracts

TORCH = {"boxmot"}


class TestTrackers(contracts.TrackerContract):
    @pytest.fixture(
        params=[
            pytest.param(name, marks=[pytest.mark.torch] if name in TORCH else [])
            for name in known("tracker")
        ]
    )
    def new_tracker(self, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
        if request.param in TORCH:
            pytest.importorskip(request.param)
        return lambda: build("tracker", choose(request.param), tmp_path, "tracker")

"""What a source may give as a frame."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from pipeline.testing import frame

BEYOND = {
    "pts_s": [float("nan"), float("inf"), 1e300],
    "captured_at": [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC), datetime(2026, 1, 1)],  # noqa: DTZ001
    "image": [np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3))],
    "epoch": ["e\n1", "\ud800", "e" * 201],
    "pixel_aspect": [0.0, float("nan")],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BEYOND for value in BEYOND[name]])
def test_what_no_frame_can_be_is_refused_where_it_is_made(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        replace(frame(), **{name: value})

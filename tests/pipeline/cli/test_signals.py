"""A signal that comes before there is anything to stop."""

import os
import signal
from collections.abc import Iterator

import pytest

from pipeline.cli.signals import DrainOnSignals


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("early", [True, False])
def test_the_first_signal_stops_whenever_it_comes(early: bool, capsys: pytest.CaptureFixture[str]) -> None:
    stopped: list[str] = []
    drain = DrainOnSignals()
    if early:
        os.kill(os.getpid(), signal.SIGTERM)
    drain.by(lambda: stopped.append("now"))
    if not early:
        os.kill(os.getpid(), signal.SIGTERM)
    assert stopped == ["now"]
    assert "SIGTERM: draining" in capsys.readouterr().err

"""A signal that comes before there is anything to stop."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pipeline.cli.signals import DrainOnSignals, Hangup


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("early", [True, False])
def test_the_first_signal_stops_whenever_it_comes(early: bool, capfd: pytest.CaptureFixture[str]) -> None:
    stopped: list[str] = []
    drain = DrainOnSignals()
    if early:
        os.kill(os.getpid(), signal.SIGTERM)
    drain.by(lambda: stopped.append("now"))
    if not early:
        os.kill(os.getpid(), signal.SIGTERM)
    assert stopped == ["now"]
    assert "SIGTERM: draining" in capfd.readouterr().err


def test_a_hangup_is_noted_once_and_ends_nothing() -> None:
    hangup = Hangup()
    assert not hangup.taken()
    os.kill(os.getpid(), signal.SIGHUP)
    assert hangup.taken()
    assert not hangup.taken()


EARLY = """
import os, signal, sys

class Hangup:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGHUP)

sys.meta_path.insert(0, Hangup())
from pipeline.cli.entry import run
run()
"""


@pytest.mark.parametrize(("command", "code"), [("run", 2), ("verify", 2), ("check", -signal.SIGHUP)])
def test_a_hangup_while_it_is_imported_ends_no_command_that_lasts(command: str, code: int) -> None:
    arguments = [sys.executable, "-c", EARLY, command, "missing.yaml"]
    assert subprocess.run(arguments, capture_output=True, check=False).returncode == code


ON_A_TERMINAL = """
import os, signal
from rich.live import Live
from pipeline.output import console
from pipeline.cli.signals import DrainOnSignals, Hangup

drain = DrainOnSignals()
with Live("10.0 fps", console=console(stderr=True), transient=True):
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
"""


def test_a_second_signal_leaves_the_terminal_with_its_cursor() -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-c", ON_A_TERMINAL], stderr=theirs, env=environment)
    os.close(theirs)
    assert process.wait(30) == 130
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # Linux says so when the other end is closed
        pass
    finally:
        os.close(ours)
    hidden, back = b"\x1b[?25l", b"\x1b[?25h"
    assert hidden in shown
    assert shown.rindex(back) > shown.rindex(hidden)

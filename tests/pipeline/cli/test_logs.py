"""What the log makes of other people's words."""

import logging

import pytest

from pipeline.cli.logs import start_logging


@pytest.mark.parametrize("odd", ["\n", "\r\n", "\x1b", "\x9b", "\u2028", "\u202e", "\0"])
def test_an_event_is_one_line_that_steers_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    monkeypatch.delenv("MUSEWATCH_LOG", raising=False)
    start_logging()
    logging.getLogger("musewatch.test").warning("sink: %s", f"500{odd}12:00:00 error forged")
    time, _, rest = capsys.readouterr().err.partition(" ")
    assert (len(time), rest) == (8, "warning sink: 500 12:00:00 error forged\n")

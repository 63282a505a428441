"""What the program says while it runs: one line an event on stderr, without secrets and without libraries."""

import json
import logging
import os
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

from pipeline.secrets import redact

_UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")
"""What begins a new line, steers a terminal or turns text round: others' words may hold it."""


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to whatever stderr is at the moment: a live status line stands in for it while it shows."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Lines(logging.Formatter):
    """`12:00:01 warning stream door: ...`, or one JSON object with MUSEWATCH_LOG=json."""

    def __init__(self, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        level, text = record.levelname.lower(), redact(record.getMessage())
        if self._as_json:
            time = moment.isoformat(timespec="milliseconds")
            return json.dumps({"time": time, "level": level, "logger": record.name, "message": text})
        return f"{moment:%H:%M:%S} {level} {_UNSHOWN.sub(' ', text)}"


def start_logging() -> None:
    """Sends musewatch's own log to stderr and libraries' warnings nowhere; MUSEWATCH_LOG=json|debug changes it."""
    wish = os.environ.get("MUSEWATCH_LOG", "")
    handler = _Stderr()
    handler.setFormatter(_Lines("json" in wish))
    root = logging.getLogger()
    root.handlers = [logging.NullHandler()]
    for name in ("musewatch", "pipeline", "plugins", "engines", "trainers"):
        own = logging.getLogger(name)
        own.handlers = [handler]
        own.propagate = False
        own.setLevel(logging.DEBUG if "debug" in wish else logging.INFO)

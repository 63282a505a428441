"""The console script `musewatch`: what is settled before anything large is imported."""

import os
import signal
import sys

LASTING = {"run", "verify"}  # SIGHUP never ends these, not even while they are imported


def run() -> None:
    """Runs the command line of this process, and ends it with the exit code."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    if LASTING & set(sys.argv[1:]):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from pipeline.cli.main import main

    sys.exit(main(sys.argv[1:]))

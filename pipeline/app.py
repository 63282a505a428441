"""The main job as one call."""

from collections.abc import Callable

from pipeline.config import Config
from pipeline.runner.runner import Runner, RunSummary, Status


def run_config(
    config: Config, *, duration_s: float | None = None, on_status: Callable[[Status], None] | None = None
) -> RunSummary:
    """Runs a config until its recordings have ended or `duration_s` is over, drained.

    Raises:
        ConfigError: A part cannot start; nothing has been started.
        OutsideError: A file or the telemetry address cannot be opened.
    """
    return Runner(config).run(duration_s, on_status)

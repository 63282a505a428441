"""The events as they are: the form that every other one is made of."""

from collections.abc import Mapping
from typing import Any

from pipeline.deliver.events import CONTENT_TYPE
from pipeline.settings import Settings


class HitProjection:
    """The event itself: a CloudEvents 1.0 object in structured JSON."""

    content_type = CONTENT_TYPE

    class Config(Settings):
        """Nothing to set."""

    def __init__(self, config: Config) -> None:
        del config

    def project(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """The event."""
        return event

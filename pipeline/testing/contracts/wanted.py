"""The fixtures that a suite asks of whoever inherits it."""

from typing import NoReturn

import pytest


def wanted(what: str) -> NoReturn:
    """Ends a test whose fixture nobody gave, and says which one it is."""
    pytest.fail(f"this suite needs a fixture of yours: {what}", pytrace=False)

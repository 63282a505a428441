"""The errors a caller can meet, and what to do about each.

MusewatchError            exit_code: what the process ends with when nobody handles it
+-- ConfigError        2  the config, the command line or a manifest is wrong: mend it, start again
|   +-- UnknownPluginError   no such entry point: the message lists the known ones
+-- InputError         3  a picture, a data set or a file was refused: give another
+-- OutsideError       4  something outside cannot be reached: mend that, or wait
    +-- HangingError       a plugin does not answer: go on without it, it is asked again when it does
    +-- StreamError        one stream failed: the runner reconnects it, the others go on
    +-- DiskFullError      the disk has no room for a change: nothing was changed, make room, then try again
    +-- OutboxError        the outbox cannot be written: nothing was taken, hold the events and try again
    |   +-- OutboxFullError    the disk is full: make room, then try again
    +-- RefusedError       a sink refuses these very events: it may be asked a few times more, not for ever
    |   +-- UnsayableError     the form that a sink is handed has failed on them: asking again gives the same
    +-- BackpressureError  a sink asks for a pause: wait retry_after_s, then again
"""

from contextlib import suppress
from typing import ClassVar


class MusewatchError(Exception):
    """Anything that musewatch raises on purpose; its text is fit for the operator's eyes.

    Args:
        problem: What is wrong, and where.
        fix: What to do about it; may be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, fix: str = "") -> None:
        self.problem = problem
        self.fix = fix
        super().__init__(f"{problem}. {fix}" if fix else problem)


class ConfigError(MusewatchError):
    """The config, the command line or a manifest is wrong; nothing has started."""

    exit_code = 2


class UnknownPluginError(ConfigError):
    """No plugin of that name is installed, or its library is missing."""


class InputError(MusewatchError):
    """A picture, a data set or a file was refused."""

    exit_code = 3


class OutsideError(MusewatchError):
    """Something outside this process cannot be reached."""

    exit_code = 4


class HangingError(OutsideError):
    """A call into a plugin took longer than it may, or an earlier one still does."""


class StreamError(OutsideError):
    """One stream failed; the runner opens it again after a back-off."""


class DiskFullError(OutsideError):
    """The disk has no room for a change of a file; nothing of the call was done."""


class OutboxError(OutsideError):
    """The outbox cannot be read or written now (disk full, locked); nothing of the call was done."""


class OutboxFullError(OutboxError):
    """The disk has no room for the outbox; nothing of the call was done."""


class RefusedError(OutsideError):
    """A sink is there and takes others, but not these events as they are."""


class UnsayableError(RefusedError):
    """An event cannot be said in the form that a sink is to be handed; it never will be."""


class BackpressureError(OutsideError):
    """A sink cannot take events now.

    Args:
        problem: What is wrong.
        retry_after_s: Seconds to wait before the next try.
    """

    def __init__(self, problem: str, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(problem)


def words_of(error: BaseException) -> str:
    """What anybody's error says, or what it is called where it says nothing; never raises."""
    with suppress(Exception):
        if text := str(error):
            return text
    return type(error).__name__

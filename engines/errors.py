"""The errors of engines, and what to do about each.

EngineError           exit_code 2: an engine that does not fit stops the start
+-- ManifestError     the manifest is missing, unreadable or says something that it may not: mend it
+-- EngineFileError   the file behind it is missing, damaged, another one or of a refused kind: replace it
+-- TensorError       a tensor has another shape or type than the manifest makes of it: mend the manifest
+-- OutputError       the network answered nonsense (not a number, no length): replace the engine
+-- PictureError      exit_code 3: pictures to calibrate or judge with are missing or damaged: give others
+-- GateError         exit_code 1: an engine was made and is not good enough: it is not kept
"""

from typing import ClassVar


class EngineError(Exception):
    """An engine cannot be used; the text is fit for the operator's eyes.

    Args:
        problem: What is wrong, and with which engine.
        fix: What to do about it; may be empty.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, problem: str, fix: str = "") -> None:
        self.problem = problem
        self.fix = fix
        super().__init__(f"{problem}. {fix}" if fix else problem)


class ManifestError(EngineError):
    """The manifest is missing, unreadable, or says something that it may not."""


class EngineFileError(EngineError):
    """The file behind a manifest is missing, damaged, not the one of the digest, or of a refused kind."""


class TensorError(EngineError):
    """A tensor has another shape or type than the manifest makes of it."""


class OutputError(EngineError):
    """The network's answer cannot be used."""


class PictureError(EngineError):
    """Pictures to calibrate or to judge an engine with are missing or cannot be read."""

    exit_code: ClassVar[int] = 3


class GateError(EngineError):
    """An engine was made and strays too far from its reference; it is not kept."""

    exit_code: ClassVar[int] = 1

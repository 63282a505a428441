"""The errors of engines, and what to do about each.

ConfigError
+-- EngineError           exit_code 2: an engine that does not fit stops the start
    +-- ManifestError     the manifest is missing, unreadable or says something that it may not: mend it
    +-- EngineFileError   the file behind it is missing, damaged, another one or of a refused kind: replace it
    +-- TensorError       a tensor has another shape or type than the manifest makes of it: mend the manifest
    +-- OutputError       the network answered nonsense (not a number, no length): replace the engine
InputError
+-- PictureError          exit_code 3: pictures to calibrate or judge with are missing or damaged: give others
MusewatchError
+-- GateError             exit_code 1: an engine was made and is not good enough: it is not kept
"""

from pipeline.errors import ConfigError, InputError, MusewatchError


class EngineError(ConfigError):
    """An engine cannot be used."""


class ManifestError(EngineError):
    """The manifest is missing, unreadable, or says something that it may not."""


class EngineFileError(EngineError):
    """The file behind a manifest is missing, damaged, not the one of the digest, or of a refused kind."""


class TensorError(EngineError):
    """A tensor has another shape or type than the manifest makes of it."""


class OutputError(EngineError):
    """The network's answer cannot be used."""


class PictureError(InputError):
    """Pictures to calibrate or to judge an engine with are missing or cannot be read."""


class GateError(MusewatchError):
    """An engine was made and strays too far from its reference; it is not kept."""

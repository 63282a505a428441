"""Hardware decoders that really start on this machine."""

import logging
from typing import Literal

import av
from av.codec.hwaccel import HWAccel

_log = logging.getLogger("musewatch.source")

HardwareName = Literal["none", "cuda", "qsv", "auto"]
_AUTO = ("cuda", "qsv")


def hardware(name: HardwareName) -> HWAccel | None:
    """A decoder of that kind, or None for software; `auto` takes the first that starts.

    The device is tried before any stream is opened: PyAV's own fallback does not cover a missing driver.
    """
    kinds = _AUTO if name == "auto" else (name,)
    for kind in kinds if name != "none" else ():
        accelerator = HWAccel(kind, allow_software_fallback=True)
        try:
            accelerator.create(av.Codec("h264", "r"))
        except (av.error.FFmpegError, OSError, NotImplementedError) as error:
            _log.log(
                logging.INFO if name == "auto" else logging.WARNING,
                "no %s decoder on this machine (%s): decoding in software", kind, error,
            )  # fmt: skip
        else:
            return accelerator
    return None

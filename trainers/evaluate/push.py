"""Plays a clip as a camera that pushes: over RTSP, to an address that a source listens on, at its own rate.

Each camera is a process of its own, as cameras are: PyAV holds the interpreter's lock while it opens a connection
for writing, and a source that listens in the same process could never answer.
"""

import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

import av

RETRY_S = 0.1
PATIENCE_S = 30.0
_NOBODY_LISTENS = 4


class Cameras:
    """Processes that push one clip each; leaving the context ends those that still run.

    Args:
        clips: Clip by the address that it is pushed to.
    """

    def __init__(self, clips: Mapping[str, Path]) -> None:
        module = [sys.executable, "-m", "trainers.evaluate.push"]
        self._processes = {
            url: subprocess.Popen(
                [*module, str(clip), url], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            for url, clip in clips.items()
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.wait()

    def failed(self) -> list[str]:
        """Addresses whose clip did not arrive whole, of those that have ended."""
        return [url for url, process in self._processes.items() if process.poll() not in (None, 0)]


def push(clip: Path, url: str) -> None:
    """Sends a clip once, packet by packet, without encoding it again.

    Args:
        clip: A file whose codec RTSP can carry (H.264, H.265).
        url: Where a source listens; tried again for a while until one does.

    Raises:
        av.FFmpegError: Nobody listens, or the connection broke.
    """
    with av.open(str(clip)) as recorded:
        video = recorded.streams.video[0]
        with closing(_connect(url, video)) as camera:
            sent = camera.streams.video[0]
            start_s = time.monotonic()
            for packet in recorded.demux(video):
                if packet.dts is None or packet.time_base is None:
                    continue
                time.sleep(max(0.0, start_s + float(packet.dts * packet.time_base) - time.monotonic()))
                packet.stream = sent
                camera.mux(packet)


def _connect(url: str, video: av.VideoStream) -> av.container.OutputContainer:
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        camera = av.open(url, "w", format="rtsp", options={"rtsp_transport": "tcp"})
        try:
            camera.add_stream_from_template(video)
            camera.start_encoding()
            return camera
        except (av.FFmpegError, OSError):
            if time.monotonic() > deadline_s:
                raise
            time.sleep(RETRY_S)


if __name__ == "__main__":
    try:
        push(Path(sys.argv[1]), sys.argv[2])
    except (av.FFmpegError, OSError):
        sys.exit(_NOBODY_LISTENS)

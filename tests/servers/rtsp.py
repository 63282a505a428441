"""The RTSP server of the tests, as a process that can be hurt."""

import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import quote

from tests.servers.availability import need, system_python

_SCRIPT = Path(__file__).with_name("rtsp_server.py")


class RtspServer:
    """Serves clips at rtsp://127.0.0.1:PORT/NAME; see rtsp_server.py.

    Args:
        clips: File by name.
        user: With `password`: what a client must give.
        password: See `user`.
        once: Play each clip once instead of for ever.
        port: 0 = any free; it is kept over a restart.
    """

    def __init__(
        self,
        clips: Mapping[str, Path],
        *,
        user: str | None = None,
        password: str = "",
        once: bool = False,
        port: int = 0,
    ) -> None:
        need("rtsp")
        self._clips = dict(clips)
        self._user, self._password = user, password
        self._once = once
        self.port = port
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, name: str, *, user: str | None = None, password: str = "") -> str:
        """Address of a clip."""
        part = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
        return f"rtsp://{part}127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Returns when the server answers."""
        options = ["--port", str(self.port), *(["--once"] if self._once else [])]
        if self._user:
            options += ["--user", self._user, "--password", self._password]
        clips = [f"{name}={path}" for name, path in self._clips.items()]
        self._process = subprocess.Popen(
            [str(system_python()), str(_SCRIPT), *options, *clips],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        ready, _, port = self._answer().partition(" ")
        assert ready == "READY", "the RTSP server did not start"
        self.port = int(port)

    def stop(self) -> None:
        """Ends it properly: clients see the end of the stream."""
        self._end(kill=False)

    def kill(self) -> None:
        """Ends it as a power cut would; `start` brings it back on the same port."""
        self._end(kill=True)

    def stall(self) -> None:
        """No more pictures, yet the connection stays."""
        self._command("stall")

    def resume(self) -> None:
        """Pictures again."""
        self._command("resume")

    def freeze(self) -> None:
        """Nothing at all any more, yet the connection stays."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Goes on as if nothing had been."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def corrupt(self, share: float) -> None:
        """Damages this share of the pictures."""
        self._command(f"corrupt {share}")

    def switch(self, name: str, clip: Path) -> None:
        """Goes on with another clip in the same stream."""
        self._command(f"switch {name} {clip}")

    def _command(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        assert self._answer() == "ok"

    def _answer(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _end(self, *, kill: bool) -> None:
        if self._process is None:
            return
        if kill:
            self._process.kill()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        self._process = None

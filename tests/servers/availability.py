"""Which outside programs the tests can use, and how to get those that are missing."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Outside:
    """A program that some tests need: how to see that it is there, and how to get it."""

    found: Callable[[], bool]
    install: str


def system_python() -> Path | None:
    """Debian's own Python, which alone sees GStreamer; resolved, since a link hides its modules."""
    found = shutil.which("python3", path="/usr/bin:/bin")
    return Path(found).resolve() if found else None


def faketime() -> Path | None:
    """The library that shows a process another time, when preloaded."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


def mosquitto() -> str | None:
    """The MQTT broker, which Debian puts where only root's path leads."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _gstreamer_rtsp() -> bool:
    python = system_python()
    if python is None:
        return False
    code = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; "
        "Gst.init(None); assert all(map(Gst.ElementFactory.find, ['appsrc', 'qtdemux', 'h265parse', 'rtph265pay']))"
    )
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


OUTSIDE = {
    "rtsp": Outside(
        _gstreamer_rtsp,
        "apt-get install -y --no-install-recommends python3-gi gir1.2-gst-rtsp-server-1.0 "
        "gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good "
        "gstreamer1.0-plugins-bad gstreamer1.0-rtsp",
    ),
    "kafka": Outside(
        lambda: bool(shutil.which("java") and shutil.which("mvn")),
        "apt-get install -y --no-install-recommends openjdk-17-jre-headless maven",
    ),
    "kcat": Outside(
        lambda: shutil.which("kcat") is not None, "apt-get install -y --no-install-recommends kcat"
    ),
    "mosquitto": Outside(
        lambda: mosquitto() is not None, "apt-get install -y --no-install-recommends mosquitto"
    ),
    "iptables": Outside(
        lambda: shutil.which("iptables") is not None,
        "apt-get install -y --no-install-recommends iptables",
    ),
    "gcc": Outside(
        lambda: shutil.which("gcc") is not None,
        "apt-get install -y --no-install-recommends gcc libc6-dev",
    ),
    "faketime": Outside(
        lambda: faketime() is not None, "apt-get install -y --no-install-recommends faketime"
    ),
    "chromium": Outside(
        lambda: bool(shutil.which("chromium") and shutil.which("chromedriver")),
        "apt-get install -y --no-install-recommends chromium chromium-driver fonts-dejavu-core",
    ),
}


@cache
def available(name: str) -> bool:
    """Whether the program is on this machine."""
    return OUTSIDE[name].found()


def need(name: str) -> None:
    """Skips the test where the program is missing; fails it where `CI` is set."""
    if available(name):
        return
    reason = f"needs {name}: {OUTSIDE[name].install}"
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)

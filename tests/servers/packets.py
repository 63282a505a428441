"""Packets of the loopback that disappear: rules of the packet filter, taken back at the end."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.servers.availability import need


def need_root() -> None:
    """Skips the test for users who may not change the machine."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it changes the machine")


@contextmanager
def dropped(*match: str) -> Iterator[None]:
    """Drops what comes in over the loopback and fits, e.g. `-p tcp --dport 8554`; for root."""
    need_root()
    need("iptables")
    rule = ["INPUT", "-i", "lo", *match, "-j", "DROP"]
    subprocess.run(["iptables", "-w", "-I", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "-w", "-D", *rule], check=True)

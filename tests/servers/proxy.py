"""A TCP proxy that can be slow, hold still, damage what passes, or break off: a bad network on loopback."""

import random
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Self

_CHUNK = 4096


class Proxy:
    """Passes connections on to a port of the loopback; faults hold for what comes from there.

    Args:
        target: Port of the server.

    Attributes:
        port: Where clients connect.
        damage: Chance that a chunk has three bytes flipped.
        bytes_per_s: Most that passes; None = all.
        held: Nothing passes, and nothing ends.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.damage = 0.0
        self.bytes_per_s: float | None = None
        self.held = False
        self._rng = random.Random(7)
        self._ends: set[socket.socket] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reset(self) -> None:
        """Breaks all connections off, as a box that restarts would."""
        for end in list(self._ends):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            _shut(end)

    def close(self) -> None:
        """Ends everything."""
        self._closed = True
        _shut(self._listener)
        self._listener.close()
        self.reset()
        self._thread.join()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            self._ends |= {client, server}
            for source, sink, hurt in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass_on, args=(source, sink, hurt), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, hurt: bool) -> None:
        try:
            while data := source.recv(_CHUNK):
                while self.held and not self._closed:
                    time.sleep(0.01)
                sink.sendall(self._hurt(data) if hurt else data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                _shut(end)
            source.close()
            self._ends.discard(source)

    def _hurt(self, data: bytes) -> bytes:
        if self.bytes_per_s:
            time.sleep(len(data) / self.bytes_per_s)
        if self._rng.random() >= self.damage:
            return data
        broken = bytearray(data)
        for _ in range(3):
            broken[self._rng.randrange(len(broken))] ^= 1 + self._rng.randrange(255)
        return bytes(broken)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)

"""An RTSP camera in plain Python whose habits are arguments: what real cameras do and GStreamer's server does not."""

import re
import socket
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Self

import av
import numpy as np

NTP_EPOCH_S = 2_208_988_800
PACKET_BYTES = 1400


def coded(count: int, fps: int, size: tuple[int, int] = (160, 96), codec: str = "libx264") -> list[bytes]:
    """Access units of plain pictures that change, a key frame every second."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, fps), Fraction(fps, 1)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(fps)}
    units = []
    for index in range(count):
        image = np.full((size[1], size[0], 3), 40 + 5 * index % 200, np.uint8)
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts, frame.time_base = index, encoder.time_base
        units += [bytes(packet) for packet in encoder.encode(frame)]
    return units + [bytes(packet) for packet in encoder.encode(None)]


class OddCamera:
    """Serves H.264 at rtsp://127.0.0.1:PORT/cam to whoever comes, in a loop.

    Args:
        units: Access units.
        fps: Their rate.
        tracks: `m=` sections; `{video}` is replaced by the one that is sent.
        codec: Its name in the description.
        only_udp: Whether TCP is answered by 461.
        digests: Algorithms it asks for, in this order; nobody gets in.
        clock_off_s: How far its clock is off.

    Attributes:
        visits: Connections so far.
        open: Connections at present.
    """

    def __init__(
        self,
        units: Sequence[bytes],
        fps: int = 12,
        *,
        tracks: str = "{video}",
        codec: str = "H264",
        only_udp: bool = False,
        digests: Sequence[str] = (),
        clock_off_s: float = 0.0,
    ) -> None:
        self.visits = self.open = 0
        self._units, self._fps = units, fps
        self._tracks, self._codec = tracks, codec
        self._only_udp, self._digests, self._clock_off_s = only_udp, digests, clock_off_s
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._gone = threading.Event()

    @property
    def url(self) -> str:
        """Its address."""
        return f"rtsp://127.0.0.1:{self.port}/cam"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._gone.set()
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._gone.is_set():
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self.visits += 1
        self.open += 1
        ended = threading.Event()
        with suppress(OSError), connection, connection.makefile("rb") as lines:
            while request := _request(lines):
                self._answer(connection, request, ended)
        ended.set()
        self.open -= 1

    def _answer(self, connection: socket.socket, request: str, ended: threading.Event) -> None:
        method = request.split(maxsplit=1)[0]
        status, extra, body = "200 OK", "Session: 1\r\n", ""
        wants_tcp = "RTP/AVP/TCP" in request
        if method == "OPTIONS":
            extra = "Public: OPTIONS, DESCRIBE, SETUP, TEARDOWN, PLAY\r\n"
        elif self._digests:
            status = "401 Unauthorized"
            extra = "".join(
                f'WWW-Authenticate: Digest realm="cam", nonce="1", algorithm="{name}"\r\n'
                for name in self._digests
            )
        elif method == "DESCRIBE":
            body = self._description()
            extra = "Content-Type: application/sdp\r\n"
        elif method == "SETUP" and self._only_udp and wants_tcp:
            status = "461 Unsupported Transport"
        elif method == "SETUP":
            extra += f"Transport: {self._set_up(connection, request, ended)}\r\n"
        head = f"RTSP/1.0 {status}\r\nCSeq: {_field(request, 'CSeq')}\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
        connection.sendall((head + body).encode())

    def _description(self) -> str:
        video = (
            f"m=video 0 RTP/AVP 96\r\na=rtpmap:96 {self._codec}/90000\r\n"
            "a=fmtp:96 packetization-mode=1\r\na=control:sent\r\n"
        )
        head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=cam\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
        return head + self._tracks.format(video=video)

    def _set_up(self, connection: socket.socket, request: str, ended: threading.Event) -> str:
        sent = request.split()[1].endswith("/sent")
        transport = _field(request, "Transport")
        if channels := re.search(r"interleaved=(\d+)", transport):
            channel = int(channels[1])

            def by_tcp(payload: bytes, control: int) -> None:
                connection.sendall(struct.pack(">cBH", b"$", channel + control, len(payload)) + payload)

            send, answer = by_tcp, f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
        else:
            port = int(re.findall(r"client_port=(\d+)", transport)[0])
            outlet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            outlet.bind(("127.0.0.1", 0))
            ours = outlet.getsockname()[1]

            def by_udp(payload: bytes, control: int) -> None:
                outlet.sendto(payload, ("127.0.0.1", port + control))

            send = by_udp
            answer = f"RTP/AVP;unicast;client_port={port}-{port + 1};server_port={ours}-{ours + 1}"
        if sent:
            threading.Thread(target=self._play, args=(send, ended), daemon=True).start()
        return answer

    def _play(self, send, ended: threading.Event) -> None:
        started_s, sequence, told_s = time.monotonic() + 0.3, 1, -9.0  # PLAY has come by then
        number = 0
        with suppress(OSError):
            while not ended.wait(max(0.0, started_s + number / self._fps - time.monotonic())):
                at_s = number / self._fps
                stamp = int(1000 + at_s * 90_000) & 0xFFFFFFFF
                if at_s - told_s >= 1:
                    told_s = at_s
                    send(self._report(stamp), 1)
                packets = list(_packets(self._units[number % len(self._units)]))
                for place, payload in enumerate(packets):
                    marked = 0x80 if place == len(packets) - 1 else 0
                    send(struct.pack(">BBHII", 0x80, marked | 96, sequence & 0xFFFF, stamp, 7) + payload, 0)
                    sequence += 1
                number += 1

    def _report(self, stamp: int) -> bytes:
        seconds, part = divmod(time.time() + self._clock_off_s + NTP_EPOCH_S, 1)
        return struct.pack(">BBHIIIIII", 0x80, 200, 6, 7, int(seconds), int(part * 2**32), stamp, 1, 1)


def _request(lines) -> str:
    """The next request, its body and what comes interleaved passed over; empty at the end."""
    text = ""
    while line := lines.readline(65_536):
        if line[:1] == b"$" and len(line) >= 4:
            continue
        text += line.decode("latin-1")
        if line == b"\r\n" and text.strip():
            return text.lstrip()
    return ""


def _field(request: str, name: str) -> str:
    found = re.search(rf"^{name}: *(.*?)\r$", request, re.MULTILINE)
    return found[1] if found else ""


def _packets(unit: bytes):
    """RTP payloads of an access unit (RFC 6184: single units and FU-A)."""
    for nal in filter(None, re.split(b"\x00\x00\x00?\x01", unit)):
        if len(nal) <= PACKET_BYTES:
            yield nal
            continue
        body = nal[1:]
        parts = [body[i : i + PACKET_BYTES] for i in range(0, len(body), PACKET_BYTES)]
        for place, part in enumerate(parts):
            edge = (0x80 if place == 0 else 0) | (0x40 if place == len(parts) - 1 else 0)
            yield bytes([nal[0] & 0xE0 | 28, edge | nal[0] & 0x1F]) + part

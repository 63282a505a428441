"""What kind of digest a camera asks for, which the RTSP client does not tell."""

import re
import socket
import ssl
from contextlib import suppress
from urllib.parse import urlsplit

_MOST_BYTES = 65_536
_ALGORITHM = re.compile(
    r'^WWW-Authenticate:\s*Digest\b.*?\balgorithm="?([\w-]+)', re.IGNORECASE | re.MULTILINE
)
_PORTS = {"rtsp": 554, "rtsps": 322}


def wanted_digest(url: str, timeout_s: float) -> str | None:
    """The last algorithm other than MD5 that the camera names in its refusal; None where it names none.

    The client answers the last challenge alone, so that decides. No credentials are sent.

    Args:
        url: Of the stream.
        timeout_s: For each step of the exchange.
    """
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    with suppress(OSError, ValueError):
        address = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        with socket.create_connection(address, timeout_s) as plain:
            connection = _over_tls(plain) if parts.scheme == "rtsps" else plain
            connection.sendall(
                f"DESCRIBE {bare} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode()
            )
            named = _ALGORITHM.findall(_head(connection))
        return next((name for name in reversed(named) if name.upper() != "MD5"), None)
    return None


def _over_tls(plain: socket.socket) -> ssl.SSLSocket:
    """Unchecked: the client that was refused has already spoken to whoever this is."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)


def _head(connection: socket.socket) -> str:
    received = b""
    while b"\r\n\r\n" not in received and len(received) < _MOST_BYTES:
        part = connection.recv(4096)
        if not part:
            break
        received += part
    return received.decode("latin-1")

"""Free ports for servers of the tests."""

import socket


def free_port() -> int:
    """A TCP port of the loopback that nobody uses at present."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port

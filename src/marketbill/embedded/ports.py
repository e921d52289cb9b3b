"""The TCP ports of an embedded machine, on the loopback address only."""

from __future__ import annotations

import errno
import socket
import time

from marketbill.embedded.failures import PortInUse

LOOPBACK = "127.0.0.1"
_POLL_S = 0.1


def choose_port(port: int, *, option: str, patience_s: float = 0.0) -> int:
    """The port itself when it is free, any free one for 0. Raises PortInUse after `patience_s` seconds."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((LOOPBACK, port))
                return probe.getsockname()[1]
        except (OSError, OverflowError) as error:
            busy = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            if not busy or time.monotonic() >= deadline:
                raise PortInUse(port=port, option=option, reason="busy" if busy else str(error)) from error
        time.sleep(_POLL_S)

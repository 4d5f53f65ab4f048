"""Free ports on the loopback interface."""

import itertools
import socket

RANGE: range | None = None
"""Where to look; None: the system chooses. Processes that look at the same time, as those of one test run do, are given one each: else
two could be told of the same port before either listens on it."""

_given: set[int] = set()


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on at this moment, and that this process was not given before.

    Raises:
        OSError: there is none in `RANGE`.
    """
    for candidate in itertools.repeat(0) if RANGE is None else (port for port in RANGE if port not in _given):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            port = int(probe.getsockname()[1])
        if port not in _given:
            _given.add(port)
            return port
    raise OSError(f"no port is free in {RANGE}")


def is_listening(port: int, host: str = "127.0.0.1") -> bool:
    """True when something accepts connections at `host:port`."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0

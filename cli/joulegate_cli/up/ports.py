"""Looks, before anything is started, whether all ports can be listened on, and says what to set where one cannot."""

import errno
import socket
from collections.abc import Sequence

import msgspec

from joulegate_core.errors import PortTakenError

SEARCHED_PORTS = 200


class WantedPort(msgspec.Struct, frozen=True):
    """A port that a service is going to listen on. `remedy` says how to choose another; `{port}` in it stands for a free one."""

    what: str
    host: str
    port: int
    remedy: str


def require_free_ports(wanted: Sequence[WantedPort]) -> None:
    """Returns when all ports can be listened on.

    Raises:
        PortTakenError: names every port that cannot, with what to set.
    """
    problems = []
    used = {entry.port for entry in wanted}
    for index, entry in enumerate(wanted):
        twice = entry.port in {earlier.port for earlier in wanted[:index]}
        problem = "it is wanted twice" if twice else _problem(entry.host, entry.port)
        if problem is not None:
            free = _next_free(entry.host, entry.port, used)
            used.add(free)
            problems.append(
                f"  {entry.host}:{entry.port} for {entry.what}: {problem}; set {entry.remedy.format(port=free)}"
            )
    if problems:
        raise PortTakenError("\n".join(["nothing was started, because these ports cannot be used:", *problems]))


def _problem(host: str, port: int) -> str | None:
    """Why `host:port` cannot be listened on, None when it can."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as error:
        return "it is taken" if error.errno == errno.EADDRINUSE else str(error.strerror)
    return None


def _next_free(host: str, port: int, used: set[int]) -> int:
    candidates = (port + step for step in range(1, SEARCHED_PORTS) if port + step not in used)
    return next((c for c in candidates if c < 2**16 and _problem(host, c) is None), port + 1)

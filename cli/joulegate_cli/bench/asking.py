"""Load on an HTTP sidecar from a program of its own."""

import os

from joulegate_cli.bench.child import Program, Service
from joulegate_cli.bench.http_load import Answers, Load
from joulegate_core.errors import JoulegateError

PERFORMANCE = "/v1/analytics/performance/v-%06d"
FLEET = "/v1/analytics/fleet"
BARE = "/healthz"
FIRST_CORE, LAST_CORE = 0, (os.cpu_count() or 1) - 1
"""The server is kept to the first, who asks to the last."""

WARM_SHARE = 0.2
"""Of a load's length, but at most a second; it comes before and does not count."""


def ask(service: Service, path: str, *, clients: int, seconds: float, devices: int = 0, rate: float = 0) -> Answers:
    """Asks `service` for `path` and returns what came.

    Raises:
        JoulegateError: the program failed, nothing came, or an answer was not 200.
    """
    program = start_asking(service, path, clients=clients, seconds=seconds, devices=devices, rate=rate)
    return answers(program, seconds)


def start_asking(
    service: Service, path: str, *, clients: int, seconds: float, devices: int = 0, rate: float = 0
) -> Program:
    """Begins to ask; `answers` gives what came."""
    load = Load(service.port, clients, seconds, path, devices, rate, min(1, seconds * WARM_SHARE), LAST_CORE)
    return Program("http_load", load)


def answers(program: Program, seconds: float) -> Answers:
    """Waits for the end of a load of so many seconds.

    Raises:
        JoulegateError: the program failed, nothing came, or an answer was not 200.
    """
    result: Answers = program.result(Answers, timeout_seconds=seconds + 60)
    if result.failures or not result.requests:
        raise JoulegateError(f"{result.failures} of {result.requests} answers were not 200")
    return result

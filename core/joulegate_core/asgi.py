"""Serves an ASGI application inside a running event loop, without taking over the process's signals."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

from joulegate_core.errors import PortTakenError

SHUTDOWN_SECONDS = 3


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own handling ends the process before an outer clean-up is through."""
        yield


@contextlib.asynccontextmanager
async def serve(app: ASGIApp, host: str, port: int, setting: str) -> AsyncIterator[None]:
    """Listens on `host:port` while the block runs, then finishes open requests for at most three seconds.

    Args:
        setting: the name of the setting that holds the port, for the error.

    Raises:
        PortTakenError: the address cannot be listened on.
    """
    listener = _listen(host, port, setting)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        server_header=False,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name=f"http-{port}")
    try:
        yield
    finally:
        server.should_exit = True
        await serving
        listener.close()


def _listen(host: str, port: int, setting: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise PortTakenError(
            f"cannot listen on {host}:{port}: {error.strerror}. Set {setting} to a free port"
        ) from error
    listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return listener

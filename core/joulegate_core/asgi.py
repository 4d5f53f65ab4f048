"""Serves an ASGI application inside a running event loop, without taking over the process's signals."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from joulegate_core.errors import PortTakenError
from joulegate_core.http_connection import HttpConnection, Refusal, plain_refusal

SHUTDOWN_SECONDS = 3
"""How long a stop waits for open requests to be answered."""
LAST_WORDS_SECONDS = 1.0
"""How long those that were not have to be told so."""
KEEP_ALIVE_SECONDS = 5
"""How long a connection may be idle between two requests."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own handling ends the process before an outer clean-up is through."""
        yield


@contextlib.asynccontextmanager
async def serve(
    app: ASGIApp, host: str, port: int, setting: str, *, refusal: Refusal = plain_refusal
) -> AsyncIterator[None]:
    """Listens on `host:port` while the block runs, then finishes open requests for at most three seconds.

    Requests that are not finished by then are cancelled; the application may answer them with its last words.

    Args:
        setting: the name of the setting that holds the port, for the error.
        refusal: the response to what is not HTTP/1.1.

    Raises:
        PortTakenError: the address cannot be listened on.
    """
    listener = _listen(host, port, setting)
    server = _Server(_config(app, refusal))
    serving = asyncio.create_task(server.serve(sockets=[listener]), name=f"http-{port}")
    try:
        yield
    finally:
        server.should_exit = True
        await serving
        await _end(server)
        listener.close()


def _config(app: ASGIApp, refusal: Refusal) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=cast("Any", partial(HttpConnection, refusal=refusal)),
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,  # nothing asks who a client is, or by which scheme it came
    )


async def _end(server: uvicorn.Server) -> None:
    """Ends what uvicorn has cancelled and leaves behind."""
    if server.server_state.tasks:
        await asyncio.wait(server.server_state.tasks, timeout=LAST_WORDS_SECONDS)
    for connection in list(server.server_state.connections):
        cast("HttpConnection", connection).transport.abort()


def _listen(host: str, port: int, setting: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only on what says that it is TCP; without it an answer's body waits 40 ms behind its headers
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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

"""Stops working for clients that have gone: their questions would keep connections to the database from others."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

WATCH_AFTER_SECONDS = 0.05
"""Most answers are there by then. A task that watches the client costs as much as a fifth of such an answer."""


class Leaving:
    """ASGI middleware. Cancels a GET or HEAD whose client disconnects; a change is finished, its client may ask what became of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection's scope, as ASGI wants it. Returns without a response when the client has gone."""
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        watch = _Watch(receive)
        try:
            await self._app(scope, _no_body(), send)
        except asyncio.CancelledError:
            if not watch.is_gone:
                raise
            watch.answering.uncancel()
        finally:
            watch.end()


class _Watch:
    """Looks out for the client's leaving once the answer takes a while, and then cancels the task that made it, which is answering."""

    def __init__(self, receive: Receive) -> None:
        self.is_gone = False
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - an ASGI application runs in a task
        self.answering = task
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None
        self._begin = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, self._watch)

    def end(self) -> None:
        """To be called when the answer is there, or nobody waits for it."""
        self._begin.cancel()
        if self._watching is not None:
            self._watching.cancel()

    def _watch(self) -> None:
        self._watching = asyncio.create_task(self._until_gone(), name="http-leaving")

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":  # drops a body, which these methods do not have
            pass
        self.is_gone = True
        self.answering.cancel()


def _no_body() -> Receive:
    """What the application receives instead: the end of a body, and then nothing, for it is cancelled when the client leaves."""
    is_told = False

    async def receive() -> Message:
        nonlocal is_told
        if is_told:
            await asyncio.Event().wait()
        is_told = True
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive

"""Stops working for clients that have gone: their questions would keep connections to the database from others."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Leaving:
    """ASGI middleware. Cancels a GET or HEAD whose client disconnects; a change is finished, its client may ask what became of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection's scope, as ASGI wants it. Returns without a response when the client has gone."""
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        answering = asyncio.create_task(self._answer(scope, send), name="http-answer")
        leaving = asyncio.create_task(_until_gone(receive), name="http-leaving")
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            answering.cancel()
            leaving.cancel()
            await asyncio.wait({answering, leaving})
        if not answering.cancelled():
            answering.result()

    async def _answer(self, scope: Scope, send: Send) -> None:
        await self._app(scope, _no_body(), send)


async def _until_gone(receive: Receive) -> None:
    """Drops a body, which these methods do not have."""
    while (await receive())["type"] != "http.disconnect":
        pass


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

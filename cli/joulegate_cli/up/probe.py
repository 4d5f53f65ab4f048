"""Asks the services over HTTP."""

import asyncio
import http.client
from contextlib import closing

import msgspec

TIMEOUT_SECONDS = 5.0
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to reach a service that listens everywhere


class Endpoint(msgspec.Struct, frozen=True):
    """Where a service of ours listens, and the token that it wants of us."""

    host: str
    port: int
    token: str = ""

    @property
    def url(self) -> str:
        """The address for a browser on this machine."""
        host = ANY_ADDRESS.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def __repr__(self) -> str:
        return f"Endpoint({self.url})"

    async def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a GET; status 0 when nothing answers."""
        return await asyncio.to_thread(self._get, path)

    async def is_ready(self) -> bool:
        """Whether /readyz says 200."""
        return (await self.get("/readyz"))[0] == http.client.OK

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(
            ANY_ADDRESS.get(self.host, self.host), self.port, timeout=TIMEOUT_SECONDS
        )
        with closing(connection):
            try:
                connection.request("GET", path, headers=self._headers)
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                return 0, b""

"""The hub of the stream: looks at the database once for all clients, while there are any, and hands each what it wants.

A gateway's ring says that there is something to see; a look comes at most once a second, and takes at most a tenth of the time.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator

import structlog

from joulegate_core.clock import Clock
from joulegate_core.errors import DatabaseUnavailableError, SchemaMismatchError
from joulegate_db.alerts import Alert
from joulegate_db.changes import Change, Changes, Cursor, ItemT, Wanted, changes
from joulegate_db.doorbell import Doorbell
from joulegate_db.fleet import fleet
from joulegate_db.live import MeterState, VehicleState
from joulegate_db.reader import Reader
from joulegate_http.codes import Code
from joulegate_http.gateway_routes import all_gateways
from joulegate_http.metrics import Metrics
from joulegate_http.problems import ProblemError, stopping
from joulegate_http.schemas import Fleet, answer
from joulegate_http.stream_client import Kind, StreamClient
from joulegate_http.stream_events import News, database, event, hello

log = structlog.get_logger()

MOST_CLIENTS = 500
FULL_RETRY_SECONDS = 30

LOOK_SECONDS = 1.0
"""Between two looks."""
REST = 9.0
"""So many times as long as a look took, nothing is looked at: where everything changes all the time, less often."""
MAX_REST_SECONDS = 10.0
UNRUNG_SECONDS = 5.0
"""So long without a ring, one looks all the same: the bell may not be heard (see `doorbell`)."""
SLOW_SECONDS = 5.0
"""Between two looks at the fleet's answer, and at the gateways."""
WORST = 10
"""As many of the worst vehicles as the fleet's answer has by default."""

Place = tuple[Cursor, frozenset[Kind], str | None]
"""Where a client was, which kinds it wants, and of which vehicle."""


class Hub:
    """Hands out what changes, inside `serving`.

    Args:
        url: of the database that gateways ring in.
    """

    def __init__(self, reader: Reader, url: str, clock: Clock, metrics: Metrics) -> None:
        self._reader = reader
        self._url = url
        self._clock = clock
        self._metrics = metrics
        self._clients: set[StreamClient] = set()
        self._came = asyncio.Event()
        self._closed = False
        self._forget()

    def _forget(self) -> None:
        """Nobody looked for a while: what was seen then is old."""
        self._cursor: Cursor | None = None
        self._recent: dict[str, VehicleState | MeterState | Alert] = {}
        self._is_down = False
        self._slow: dict[str, bytes] = {}
        self._slow_due = 0.0

    def require_room(self) -> None:
        """Raises ProblemError: `stream_full`, `stopping`."""
        if self._closed:
            raise stopping()
        if len(self._clients) >= MOST_CLIENTS:
            raise ProblemError(
                Code.STREAM_FULL,
                f"There are {MOST_CLIENTS} clients of the stream already. Try again later, or read the lists.",
                headers={"Retry-After": str(FULL_RETRY_SECONDS)},
            )

    @contextlib.contextmanager
    def joined(self, client: StreamClient) -> Iterator[None]:
        """The client is among those who get news while the block runs."""
        if self._closed:
            client.end()
        self._clients.add(client)
        self._metrics.stream_clients.set(len(self._clients))
        self._came.set()
        try:
            yield
        finally:
            self._clients.discard(client)
            self._metrics.stream_clients.set(len(self._clients))
            if client.lost:
                self._metrics.stream_dropped.inc()
                log.info("stream_client_too_slow")

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serves for the length of the block; then all streams end, and none begins."""
        running = asyncio.create_task(self._run(), name="stream-hub")
        try:
            yield
        finally:
            self._closed = True
            for client in list(self._clients):
                client.end()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._came.wait()
            bell = Doorbell(self._url)
            ringing = asyncio.create_task(bell.run(), name="stream-bell")
            try:
                while self._clients:
                    await self._look_and_rest(bell)
            finally:
                ringing.cancel()
                await asyncio.gather(ringing, return_exceptions=True)
            self._forget()
            if not self._clients:  # none has come while the bell was put away
                self._came.clear()

    async def _look_and_rest(self, bell: Doorbell) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        bell.rung.clear()
        self._came.clear()
        try:
            await self._look()
        except (DatabaseUnavailableError, SchemaMismatchError) as error:
            self._go_down(error)
        except Exception:
            log.exception("stream_look_failed")  # the next one may succeed; the stream must not end for all
        spent = loop.time() - started
        await asyncio.sleep(min(max(LOOK_SECONDS - spent, REST * spent), MAX_REST_SECONDS))
        await self._wait(bell)

    async def _wait(self, bell: Doorbell) -> None:
        """Returns when the bell has rung, when a client has come, or when it is time to look unrung."""
        waits = [asyncio.create_task(one.wait(), name="stream-wait") for one in (bell.rung, self._came)]
        unrung = LOOK_SECONDS if self._is_down else UNRUNG_SECONDS - LOOK_SECONDS
        try:
            await asyncio.wait(waits, timeout=unrung, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()

    async def _look(self) -> None:
        """Looks once, and gives each client what it wants of that."""
        joining = [one for one in self._clients if one.joining]
        since = [one.since for one in joining if one.since] + ([self._cursor] if self._cursor else [])
        seen = await changes(self._reader, since, self._wanted(), self._clock())
        self._come_up()
        if self._cursor and seen.now.has_lost(self._cursor):
            self._end_greeted()
        await self._look_slowly(joining)
        news = self._news(seen)  # nothing is awaited from here on: what is taken as told is told
        encoded: dict[frozenset[str], bytes] = {}
        for client in self._greeted():
            if client.vehicle is not None:
                client.give(news.of(client.kinds, client.vehicle).encode(seen.now.cursor))
                continue
            if client.kinds not in encoded:
                encoded[client.kinds] = news.of(client.kinds, None).encode(seen.now.cursor)
            client.give(encoded[client.kinds])
        missed: dict[Place, bytes] = {}
        for client in joining:
            self._greet(client, seen, missed)

    def _end_greeted(self) -> None:
        """The database was restored, or away for long. Who is let go comes again, and is told to read the lists anew."""
        log.warning("stream_begins_anew")
        for client in self._greeted():
            client.end()

    def _greeted(self) -> list[StreamClient]:
        return [one for one in self._clients if not one.joining]

    def _wanted(self) -> Wanted:
        kinds = {kind for one in self._clients for kind in one.kinds}
        return Wanted(vehicles="vehicles" in kinds, meters="meters" in kinds, alerts="alerts" in kinds)

    def _news(self, seen: Changes) -> News:
        """What is new since the last look. What may be read again at the next one is remembered, to know it by."""
        last, self._cursor = self._cursor, seen.now.cursor
        recent = self._recent
        again: list[VehicleState | MeterState | Alert] = [
            *_since(self._cursor, seen.vehicles), *_since(self._cursor, seen.meters), *_since(self._cursor, seen.alerts),
        ]  # fmt: skip
        self._recent = {_key(one): one for one in again}
        if last is None:
            return News()
        return News(
            [one for one in _since(last, seen.vehicles) if recent.get(_key(one)) != one],
            [one for one in _since(last, seen.meters) if recent.get(_key(one)) != one],
            [one for one in _since(last, seen.alerts) if recent.get(_key(one)) != one],
        )

    def _greet(self, client: StreamClient, seen: Changes, missed: dict[Place, bytes]) -> None:
        """The first words to a client, with what it has missed: `missed` keeps it for all who come from the same place at once."""
        since = client.since if client.since and seen.now.reaches(client.since) else None
        client.joining = False
        client.give(hello(self._clock(), seen.now.cursor, resumed=since is not None))
        if since is not None:
            place = (since, client.kinds, client.vehicle)
            if place not in missed:
                missed[place] = _missed(since, seen).of(client.kinds, client.vehicle).encode(seen.now.cursor)
            client.give(missed[place])
        for name, chunk in self._slow.items():
            if name in client.kinds:
                client.give(chunk)

    async def _look_slowly(self, joining: Iterable[StreamClient]) -> None:
        """The fleet's answer when it has changed, and the gateways; now and then, or when somebody wants them for the first time."""
        now = asyncio.get_running_loop().time()
        wanted = {kind for one in self._clients for kind in one.kinds} & {"fleet", "gateways"}
        for unwanted in self._slow.keys() - wanted:  # it grows old: who wants it next is told what is then
            del self._slow[unwanted]
        missing = {kind for one in joining for kind in one.kinds} & wanted - self._slow.keys()
        if now < self._slow_due and not missing:
            return
        self._slow_due = now + SLOW_SECONDS
        told = dict(self._slow)
        try:
            if "fleet" in wanted:
                found = await fleet(self._reader, None, self._clock(), WORST)
                self._slow["fleet"] = event("fleet", answer(Fleet, found))
            if "gateways" in wanted:
                self._slow["gateways"] = event("gateways", await all_gateways(self._reader))
        except DatabaseUnavailableError as error:  # it may only take too long; the other kinds go on
            log.warning("stream_look_incomplete", error=str(error))
        for name, chunk in self._slow.items():
            if chunk != told.get(name):
                self._give_all((one for one in self._greeted() if name in one.kinds), chunk)

    def _go_down(self, error: Exception) -> None:
        """Clients are told; one that has just come is greeted when the database is back."""
        if not self._is_down:
            log.warning("stream_waits_for_database", error=str(error))
        self._is_down = True
        for client in self._clients:
            if not client.told_down:
                client.told_down = True
                client.give(database("down"))

    def _come_up(self) -> None:
        self._is_down = False
        for client in self._clients:
            if client.told_down:
                client.told_down = False
                client.give(database("up"))

    @staticmethod
    def _give_all(clients: Iterable[StreamClient], chunk: bytes) -> None:
        for client in clients:
            client.give(chunk)


def _missed(since: Cursor, seen: Changes) -> News:
    return News(list(_since(since, seen.vehicles)), list(_since(since, seen.meters)), list(_since(since, seen.alerts)))


def _since(cursor: Cursor, found: Iterable[Change[ItemT]]) -> Iterator[ItemT]:
    return (one.item for one in found if one.written >= cursor.transaction)


def _key(one: VehicleState | MeterState | Alert) -> str:
    return f"{type(one).__name__} {one.id if isinstance(one, Alert) else one.device}"

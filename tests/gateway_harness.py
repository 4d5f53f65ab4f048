"""Runs a gateway inside the test's event loop, and publishes to it over a real broker."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiomqtt
from aiomqtt import QoS

from joulegate_cli.local.broker import LocalBroker
from joulegate_cli.local.ports import free_port
from joulegate_core.clock import Clock, utc_now
from joulegate_core.settings import load_settings
from joulegate_gateway.service import run_gateway

Json = dict[str, Any]


class Gateway:
    """One gateway under test. Its session at the broker is removed when the harness is closed."""

    def __init__(self, broker: LocalBroker, database_url: str, *, clock: Clock = utc_now) -> None:
        self.broker = broker
        self.client_id = f"gateway-{secrets.token_hex(6)}"
        self.metrics_port = free_port()
        self.clock = clock
        self._database_url = database_url
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._overrides: dict[str, str] = {}

    def environ(self, **overrides: object) -> dict[str, str]:
        """The gateway's environment; `overrides` are settings without the prefix, in lower case."""
        given = {f"JOULEGATE_{name.upper()}": str(value) for name, value in overrides.items()}
        return {
            "JOULEGATE_MQTT_URL": self.broker.url,
            "JOULEGATE_DATABASE_URL": self._database_url,
            "JOULEGATE_CLIENT_ID": self.client_id,
            "JOULEGATE_METRICS_PORT": str(self.metrics_port),
            "JOULEGATE_LINGER_MS": "10",
            **self.broker.gateway_settings,
            **given,
        }

    async def start(self, *, ready: bool = True, **overrides: object) -> None:
        """Starts the gateway and waits until it is ready."""
        self._overrides = self.environ(**overrides)
        self._stop = asyncio.Event()
        running = run_gateway(load_settings(self._overrides), self._stop, clock=self.clock)
        self._running = asyncio.create_task(running)
        if ready:
            await self.wait_ready()

    async def wait_ready(self, seconds: float = 20) -> None:
        """Waits for /readyz to say 200."""
        await eventually(self._is_ready, seconds)

    async def stop(self) -> None:
        """Stops the gateway as SIGTERM does, and waits until it has drained. Raises what it ended with."""
        self._stop.set()
        if self._running is not None:
            running, self._running = self._running, None
            await running

    async def crash(self) -> None:
        """Ends the gateway as a crash would: nothing is drained."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None

    @property
    def failure(self) -> BaseException | None:
        """What a gateway that ended by itself ended with."""
        return self._running.exception() if self._running is not None and self._running.done() else None

    async def close(self) -> None:
        """Ends everything, and the session at the broker."""
        await self.crash()
        if self.broker.pid is not None and self.broker.kind == "mosquitto":
            async with aiomqtt.Client(
                hostname="127.0.0.1", port=self.broker.port, identifier=self.client_id, clean_start=True
            ):
                pass

    async def metrics(self) -> dict[str, float]:
        """All samples of /metrics by their full name with labels."""
        body = (await http_get(self.metrics_port, "/metrics"))[1]
        lines = [line for line in body.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    async def ledger(self) -> tuple[int, dict[str, int], int]:
        """Received, settled by outcome, pending: summed over the streams."""
        samples = await self.metrics()
        received = sum(v for k, v in samples.items() if k.startswith("joulegate_messages_received_total"))
        settled = {
            outcome: int(sum(v for k, v in samples.items() if "settled_total" in k and f'"{outcome}"' in k))
            for outcome in ("committed", "duplicate", "quarantined")
        }
        return int(received), settled, int(samples["joulegate_messages_pending"])

    async def settle(self, count: int, seconds: float = 20) -> dict[str, int]:
        """Waits until `count` messages are settled since the start; returns them by outcome."""

        async def enough() -> bool:
            received, settled, pending = await self.ledger()
            return sum(settled.values()) >= count and pending == 0 and received == sum(settled.values())

        await eventually(enough, seconds)
        return (await self.ledger())[1]

    async def _is_ready(self) -> bool:
        if self._running is not None and self._running.done():
            self._running.result()  # raises what it ended with
        return await status_of(self.metrics_port, "/readyz") == 200


async def http_get(port: int, path: str) -> tuple[int, str]:
    """Status and body of a GET on 127.0.0.1, over a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    raw = (await reader.read()).decode()
    writer.close()
    head, _, body = raw.partition("\r\n\r\n")
    return int(head.split()[1]), body


async def status_of(port: int, path: str) -> int:
    """The status of a GET; 0 when nothing listens."""
    try:
        return (await http_get(port, path))[0]
    except (OSError, IndexError):
        return 0


async def eventually(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Waits until the (async) condition holds; fails the test when it does not in time."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"{condition} did not hold within {seconds} s"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def publisher(broker: LocalBroker) -> AsyncIterator[Callable[..., Any]]:
    """Gives `publish(topic, payload, qos=1)`, which returns when the broker has acknowledged. `payload`: JSON or bytes."""
    client_id = f"publisher-{secrets.token_hex(6)}"
    async with aiomqtt.Client(
        hostname="127.0.0.1", port=broker.port, identifier=client_id, clean_start=True, keep_alive=30
    ) as client:

        async def publish(topic: str, payload: Json | bytes, *, qos: int = 1, retain: bool = False) -> None:
            raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            packet_id = next(client.packet_ids) if qos else None
            await client.publish(topic, raw, qos=QoS(qos), packet_id=packet_id, retain=retain)

        yield publish


def now_ms() -> datetime:
    """Now, to the millisecond, so that it survives a trip through JSON."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def meter(device: str = "m-1", ts: datetime | str | int | None = None, **fields: Any) -> Json:
    """A valid meter payload; `fields` replace or add."""
    return {"meterId": device, "kwhConsumedAc": 1.0, "voltage": 230.1, "timestamp": _time(ts)} | fields


def vehicle(device: str = "v-1", ts: datetime | str | int | None = None, **fields: Any) -> Json:
    """A valid vehicle payload; `fields` replace or add."""
    return {
        "vehicleId": device, "soc": 55.5, "kwhDeliveredDc": 0.9, "batteryTemp": 31.2, "timestamp": _time(ts),
    } | fields  # fmt: skip


def _time(ts: datetime | str | int | None) -> str | int:
    if ts is None:
        ts = now_ms()
    return ts.isoformat() if isinstance(ts, datetime) else ts

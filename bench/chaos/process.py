"""A gateway as a child process: started, killed, asked for its counters."""

import asyncio
import json
import os
import secrets
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from joulegate_cli.bench.child import COMMAND
from joulegate_cli.local.ports import free_port

READY_SECONDS = 60.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.02


class Counters(msgspec.Struct, frozen=True):
    """What a gateway says of itself since its start."""

    received: int
    committed: int
    duplicate: int
    quarantined: int
    pending: int

    @property
    def settled(self) -> int:
        """Messages done with."""
        return self.committed + self.duplicate + self.quarantined


class GatewayProcess:
    """`joulegate gateway`, over and over under one client id. `settings`: names without the prefix, in lower case."""

    def __init__(self, directory: Path, environ: Mapping[str, str], **settings: object) -> None:
        self.client_id = f"chaos-{secrets.token_hex(6)}"
        self.starts = 0
        self.settings = settings
        self._environ = dict(environ)
        self._directory = directory
        self._metrics_port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, None when it does not run."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def spawn(self, *options: str) -> None:
        """Starts it and does not wait. `options` follow `joulegate gateway`."""
        self.starts += 1
        given = {f"JOULEGATE_{name.upper()}": str(value) for name, value in self.settings.items()}
        environ = {
            "JOULEGATE_CLIENT_ID": self.client_id,
            "JOULEGATE_METRICS_PORT": str(self._metrics_port),
            "JOULEGATE_LINGER_MS": "10",
            **self._environ,
            **given,
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("JOULEGATE_")}
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *COMMAND, "gateway", *options, env=inherited | environ, stdout=output, stderr=output
            )

    async def start(self) -> "GatewayProcess":
        """Starts it and waits until it is ready.

        Raises:
            RuntimeError: it ended instead.
            TimeoutError: it is not ready in time.
        """
        await self.spawn()
        await self.ready()
        return self

    async def ready(self) -> None:
        """Waits for /readyz to say 200. Raises as `start` does."""
        async with asyncio.timeout(READY_SECONDS):
            while await self._get("/readyz") is None:
                if self.pid is None:
                    raise RuntimeError(f"the gateway ended: {self._log.read_text()[-600:]}")
                await asyncio.sleep(POLL_SECONDS)

    async def kill(self) -> None:
        """kill -9."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        return await self._end(signal.SIGTERM)

    async def ended(self) -> int:
        """Waits for its end and returns the exit code."""
        assert self._process is not None
        async with asyncio.timeout(STOP_SECONDS):
            return await self._process.wait()

    async def counters(self) -> Counters | None:
        """Its counters; None while it does not answer."""
        text = await self._get("/metrics")
        if text is None:
            return None
        found = {"received": 0, "committed": 0, "duplicate": 0, "quarantined": 0, "pending": 0}
        names = {"joulegate_messages_received_total": "received", "joulegate_messages_pending": "pending"}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = names.get(sample.name)
                if sample.name == "joulegate_messages_settled_total":
                    key = sample.labels["outcome"]
                if key is not None:
                    found[key] += int(sample.value)
        return Counters(**found)

    async def metric(self, name: str) -> float:
        """One sample without labels; 0 when there is none."""
        for line in (await self._get("/metrics") or "").splitlines():
            if line.split(" ")[0] == name:
                return float(line.split(" ")[1])
        return 0.0

    def events(self, name: str) -> list[dict[str, Any]]:
        """Its log's events of this name, over all starts."""
        lines = [line for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [event for event in map(json.loads, lines) if event.get("event") == name]

    def tracebacks(self) -> int:
        """How many tracebacks it has written, over all starts."""
        return self._log.read_text().count("Traceback (most recent call last)")

    def memory(self) -> tuple[int, int]:
        """Resident memory now and at its peak (VmRSS, VmHWM), MB of 10^6 bytes, since the last start."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "VmHWM"))}
        return round(kilobytes["VmRSS"] * 1024 / 1e6), round(kilobytes["VmHWM"] * 1024 / 1e6)

    async def until(self, settled: int, seconds: float = 60.0) -> None:
        """Waits until it has settled so many messages since its start."""
        deadline = time.monotonic() + seconds
        while (counters := await self.counters()) is None or counters.settled < settled:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not {settled} messages settled within {seconds:.0f} s: {counters}")
            await asyncio.sleep(POLL_SECONDS)

    async def _end(self, signum: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.returncode is None:
            self._process.send_signal(signum)
        return await self.ended()

    async def _get(self, path: str) -> str | None:
        try:
            async with httpx.AsyncClient(timeout=5) as client:
                answer = await client.get(f"http://127.0.0.1:{self._metrics_port}{path}")
        except httpx.HTTPError:
            return None
        return answer.text if answer.is_success else None

    @property
    def _log(self) -> Path:
        return self._directory / f"{self.client_id}.log"

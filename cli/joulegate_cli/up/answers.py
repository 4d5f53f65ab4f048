"""The first efficiency answers of a simulated fleet, and how the ingestion is doing."""

import asyncio
import http.client
import time

import msgspec

from joulegate_cli.up.probe import Endpoint

PERFORMANCE_PATH = "/v1/analytics/performance/"
POLL_SECONDS = 0.5


class Performance(msgspec.Struct, frozen=True, rename="camel"):
    """What is read of the answer of the performance route; kWh over the last 24 h."""

    vehicle_id: str
    total_kwh_consumed_ac: float | None
    total_kwh_delivered_dc: float | None
    efficiency_ratio: float | None
    status: str

    def __str__(self) -> str:
        energy = f"AC {_kwh(self.total_kwh_consumed_ac)}, DC {_kwh(self.total_kwh_delivered_dc)}"
        return f"{self.vehicle_id}: {self.efficiency_ratio:.3f} efficiency over the last 24 h ({energy}), status {self.status}"


class Ingestion(msgspec.Struct, frozen=True):
    """The gateway's counts since it started, at `at` of the monotonic clock."""

    at: float
    committed: float
    quarantined: float
    pending: float

    def since(self, earlier: "Ingestion") -> str:
        """The rate and the counts, for a person."""
        restarted = self.committed < earlier.committed
        rate = (self.committed - (0 if restarted else earlier.committed)) / (self.at - earlier.at)
        refused = f", {self.quarantined:,.0f} quarantined" if self.quarantined else ""
        return f"{rate:,.1f} readings/s committed, {self.pending:,.0f} pending{refused}"


async def first_answer(http_endpoint: Endpoint, vehicle: str, *, seconds: float) -> Performance | str:
    """Waits until the efficiency of `vehicle` is known; why it is not, when that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        status, body = await http_endpoint.get(PERFORMANCE_PATH + vehicle)
        if status == http.client.OK:
            answer = msgspec.json.decode(body, type=Performance)
            if answer.efficiency_ratio is not None:
                return answer
        if time.monotonic() > deadline:
            return f"{vehicle}: no efficiency after {seconds:g} s, the performance route answers with status {status}"
        await asyncio.sleep(POLL_SECONDS)


async def ingestion(gateway: Endpoint) -> Ingestion | None:
    """The gateway's counts; None when it does not answer."""
    status, body = await gateway.get("/metrics")
    if status != http.client.OK:
        return None
    samples = [line.rsplit(" ", 1) for line in body.decode().splitlines() if not line.startswith("#")]

    def total(*parts: str) -> float:
        return sum(float(value) for name, value in samples if all(part in name for part in parts))

    return Ingestion(
        at=time.monotonic(),
        committed=total("joulegate_messages_settled_total", 'outcome="committed"'),
        quarantined=total("joulegate_messages_settled_total", 'outcome="quarantined"'),
        pending=total("joulegate_messages_pending"),
    )


def _kwh(energy: float | None) -> str:
    """A first answer covers seconds: small energies need their digits."""
    if energy is None:
        return "unknown"
    return f"{energy:.4f} kWh" if energy < 1 else f"{energy:,.2f} kWh"

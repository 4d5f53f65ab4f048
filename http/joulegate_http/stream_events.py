"""Events of the stream, as bytes: https://html.spec.whatwg.org/multipage/server-sent-events.html"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from joulegate_db.alerts import Alert as StoredAlert
from joulegate_db.changes import Cursor
from joulegate_db.live import MeterState, VehicleState
from joulegate_http.schemas import (
    Alert,
    AlertsChanged,
    Hello,
    Meter,
    MetersChanged,
    Vehicle,
    VehiclesChanged,
    Wire,
    answer,
)
from joulegate_http.stream_client import Kind


class News(msgspec.Struct, frozen=True):
    """What has changed, of each kind that has a cursor."""

    vehicles: Sequence[VehicleState] = ()
    meters: Sequence[MeterState] = ()
    alerts: Sequence[StoredAlert] = ()

    def of(self, kinds: frozenset[Kind], vehicle: str | None) -> "News":
        """The part that a client wants."""
        vehicles = self.vehicles if "vehicles" in kinds else ()
        meters = self.meters if "meters" in kinds else ()
        alerts = self.alerts if "alerts" in kinds else ()
        if vehicle is None:
            return News(vehicles, meters, alerts)
        return News(
            [one for one in vehicles if one.vehicle_id == vehicle],
            (),
            [one for one in alerts if (one.device_kind, one.device) == ("vehicle", vehicle)],
        )

    def encode(self, cursor: Cursor) -> bytes:
        """One event a kind; nothing when there is nothing. The last has the cursor: who has not got all of them gets all again."""
        events: list[tuple[str, Wire]] = []
        if self.vehicles:
            events.append(("vehicles", VehiclesChanged(tuple(answer(Vehicle, one) for one in self.vehicles))))
        if self.meters:
            events.append(("meters", MetersChanged(tuple(answer(Meter, one) for one in self.meters))))
        if self.alerts:
            events.append(("alerts", _alerts(self.alerts)))
        last = len(events) - 1
        return b"".join(
            event(name, body, cursor if place == last else None) for place, (name, body) in enumerate(events)
        )


def _alerts(changed: Sequence[StoredAlert]) -> AlertsChanged:
    alerts = [answer(Alert, one) for one in changed]
    return AlertsChanged(
        opened=tuple(one for one in alerts if one.closed_at is None),
        closed=tuple(one for one in alerts if one.closed_at is not None),
    )


def event(name: str, body: Wire | dict[str, Any], cursor: Cursor | None = None) -> bytes:
    """One event; JSON has no line breaks."""
    place = f"id: {cursor}\n" if cursor else ""
    return f"event: {name}\n{place}data: ".encode() + msgspec.json.encode(body) + b"\n\n"


def hello(now: datetime, cursor: Cursor, *, resumed: bool) -> bytes:
    """The greeting. `resumed`: what was missed follows; else the client is to read what it shows anew."""
    return event("hello", Hello(now, resumed), cursor)


def database(state: Literal["down", "up"]) -> bytes:
    """The database went away, or is back."""
    return event("database", {"state": state})

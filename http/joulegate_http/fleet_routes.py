"""The fleet as a whole: its answer, and its alerts."""

from typing import Annotated

from msgspec import Meta

from joulegate_core.clock import Clock
from joulegate_db.alerts import AlertFilter, AlertKind, AlertState, alert_page
from joulegate_db.fleet import fleet
from joulegate_db.power import fleet_power
from joulegate_db.reader import Reader
from joulegate_http.operation import DATABASE_CODES, Operation
from joulegate_http.parameters import Parameters
from joulegate_http.rules import CursorParameter, DeviceParameter
from joulegate_http.schemas import Alert, Alerts, Fleet, MinutePower, Power, answer
from joulegate_http.shared import Shared
from joulegate_http.windows import WINDOW_CODES, WindowParameters, window

HIGHEST_ID = 10**18

POWER_SECONDS = 10.0
"""All viewers of a fleet's power get the same answer for so long; it is the same for a minute."""


class FleetParameters(WindowParameters, frozen=True, kw_only=True):
    """A window, and how much of the ranking."""

    worst: Annotated[int, Meta(ge=0, le=1000, description="How many of the worst vehicles are listed.")] = 10


class AlertParameters(Parameters, frozen=True, kw_only=True):
    """Which alerts."""

    state: Annotated[AlertState, Meta(description="Open ones, closed ones, or all.")] = "all"
    kind: Annotated[AlertKind, Meta(description="Of this kind only.")] | None = None
    device: Annotated[DeviceParameter, Meta(description="Of this meter or vehicle only.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000, description="The length of a page.")] = 100
    cursor: CursorParameter | None = None


def fleet_operations(reader: Reader, clock: Clock) -> list[Operation]:
    """What answers from `reader`, at the time that `clock` tells."""

    async def ask_power() -> Power:
        return Power(tuple(answer(MinutePower, minute) for minute in await fleet_power(reader, clock())))

    power = Shared(ask_power, POWER_SECONDS)

    async def get_fleet_power(_: Parameters) -> Power:
        return await power.get()

    async def get_fleet(asked: FleetParameters) -> Fleet:
        now = clock()
        of_time = window(asked, now) if asked.start or asked.end else None
        return answer(Fleet, await fleet(reader, of_time, now, asked.worst))

    async def list_alerts(asked: AlertParameters) -> Alerts:
        which = AlertFilter(state=asked.state, kind=asked.kind, device=asked.device)
        before = HIGHEST_ID if asked.cursor is None else int(asked.cursor)
        found = await alert_page(reader, which, before, asked.limit + 1)  # one more: is there a next page?
        page = tuple(answer(Alert, alert) for alert in found[: asked.limit])
        return Alerts(page, str(page[-1].id) if len(found) > asked.limit else None)

    return [
        Operation(
            method="GET",
            path="/v1/analytics/fleet",
            handler=get_fleet,
            tag="analytics",
            cost=2,
            summary="The fleet's totals, its distribution and its worst vehicles",
            description="Over whole quarters of an hour. Without `from` and `to`: the 24 hours before the newest one that is summed.",
            parameters=FleetParameters,
            answer=Fleet,
            codes=(*WINDOW_CODES, *DATABASE_CODES),
        ),
        Operation(
            method="GET",
            path="/v1/analytics/fleet/power",
            handler=get_fleet_power,
            tag="analytics",
            summary="The fleet's power by minute",
            description="The last twenty whole minutes, straight from the readings; the same answer for ten seconds.",
            answer=Power,
            codes=DATABASE_CODES,
            cost=0.2,
        ),
        Operation(
            method="GET",
            path="/v1/alerts",
            handler=list_alerts,
            tag="analytics",
            summary="Alerts, newest first",
            parameters=AlertParameters,
            answer=Alerts,
            codes=DATABASE_CODES,
        ),
    ]

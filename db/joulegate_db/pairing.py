"""Mispairing: vehicles whose charging follows another meter than the one that it is counted by, or a meter although it has none.

Two stages. The whole fleet is compared with its present meters in 15-minute buckets, which rollups hold; vehicles that do not fit are
compared minute by minute with a few meters that start and stop when they do. Suggestions only: nothing is written.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import asyncpg
import msgspec

from joulegate_core.telemetry import Stream
from joulegate_db.pairing_places import NotJudged
from joulegate_db.pairing_plan import Plan, plan
from joulegate_db.pairing_verdict import Evidence, Match, Verdicts
from joulegate_db.reader import Reader
from joulegate_db.shape_reader import all_devices, read_minutes, read_shapes
from joulegate_db.shapes import Minutes
from joulegate_db.windows import Window, bucket_of


class Suggestion(msgspec.Struct, frozen=True):
    """A link as `PUT /v1/links` takes it. It would be valid from the start of the window in which the shapes were compared."""

    vehicle_id: str
    meter_id: str
    valid_from: datetime
    valid_to: None = None


class Finding(msgspec.Struct, frozen=True):
    """One suggestion. `swapped_with`: the vehicle that has the suggested meter and should have the present one."""

    vehicle_id: str
    kind: Literal["mispaired", "unmetered"]
    present_meter_id: str | None
    suggested_meter_id: str
    swapped_with: str | None
    evidence: Evidence
    suggestion: Suggestion
    sentence: str


class Pairings(msgspec.Struct, frozen=True):
    """The answer: `findings`, the clearest first. Of `vehicles` in question so many were `judged`; the others are counted by reason.

    `window` begins with the bucket that the question's window begins in.
    """

    window: Window
    vehicles: int
    judged: int
    not_judged: dict[NotJudged, int]
    findings: list[Finding]


async def pairings(reader: Reader, window: Window, vehicle: str | None = None) -> Pairings | None:
    """The findings for one vehicle, or for all; None for a vehicle that never reported. The calculation runs in a thread.

    Raises:
        what every method of the reader raises.
    """
    async with reader.snapshot() as connection:
        return await find_pairings(connection, window, vehicle)


async def find_pairings(connection: asyncpg.Connection, window: Window, vehicle: str | None = None) -> Pairings | None:
    """The same over a connection that is in one snapshot."""
    window = Window(bucket_of(window.start), window.end)
    known = await all_devices(connection, Stream.VEHICLE)
    if vehicle is not None and vehicle not in known:
        return None
    asked = known if vehicle is None else [vehicle]
    vehicles = await read_shapes(connection, Stream.VEHICLE, known, window)
    meters = await read_shapes(connection, Stream.METER, await all_devices(connection, Stream.METER), window)
    planned = await asyncio.to_thread(plan, vehicles, meters, asked)
    dc = await read_minutes(connection, Stream.VEHICLE, planned.compared.keys(), window)
    ac = await read_minutes(connection, Stream.METER, set().union(*planned.compared.values()), window)
    return await asyncio.to_thread(_conclude, planned, dc, ac, window, len(asked))


def _conclude(
    planned: Plan, dc: Mapping[str, Minutes], ac: Mapping[str, Minutes], window: Window, vehicles: int
) -> Pairings:
    verdicts = Verdicts(planned, dc, ac)
    outcomes = {vehicle: verdicts.of(vehicle) for vehicle in planned.cases}
    matches = {vehicle: outcome for vehicle, outcome in outcomes.items() if isinstance(outcome, Match)}
    not_judged = Counter(planned.not_judged.values())
    not_judged.update(outcome for vehicle in planned.open if isinstance(outcome := outcomes[vehicle], str))
    found = [_finding(matches[vehicle], matches, window) for vehicle in planned.open if vehicle in matches]
    return Pairings(
        window=window,
        vehicles=vehicles,
        judged=vehicles - not_judged.total(),
        not_judged=dict(sorted(not_judged.items())),
        findings=sorted(found, key=lambda one: (-(one.evidence.margin or 0), one.evidence.suggested_error)),
    )


def _finding(match: Match, matches: dict[str, Match], window: Window) -> Finding:
    other = next((m.vehicle for m in matches.values() if (m.present, m.meter) == (match.meter, match.present)), None)
    return Finding(
        vehicle_id=match.vehicle,
        kind="unmetered" if match.present is None else "mispaired",
        present_meter_id=match.present,
        suggested_meter_id=match.meter,
        swapped_with=other,
        evidence=match.evidence,
        suggestion=Suggestion(match.vehicle, match.meter, window.start),
        sentence=_sentence(match, other),
    )


def _sentence(match: Match, swapped_with: str | None) -> str:
    found = match.evidence
    unmatched = f"{_percent(found.suggested_error)} of the energy does not match"
    follows = f"The charging of {match.vehicle} follows meter {match.meter} ({unmatched})"
    if match.present is None or found.present_error is None:
        return f"{follows}; it has no meter at present."
    rather = f"{follows} and not {match.present} ({_percent(found.present_error)})"
    if swapped_with is None:
        return f"{rather}, the one that it is counted by at present."
    return f"{rather}: {match.vehicle} and {swapped_with} seem to have each other's meters."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"

"""The current state: of one vehicle or meter, and of all of them in pages."""

from typing import Annotated, Literal

from msgspec import Meta

from joulegate_core.clock import Clock
from joulegate_db.live_page import LiveFilter, meter_page, vehicle_page
from joulegate_db.reader import Reader
from joulegate_http.codes import Code
from joulegate_http.operation import DATABASE_CODES, Operation
from joulegate_http.parameters import Parameters
from joulegate_http.problems import ProblemError
from joulegate_http.rules import DeviceCursorParameter, MeterParameter, VehicleParameter
from joulegate_http.schemas import ListedVehicle, Meter, Meters, Vehicle, Vehicles, answer

Flag = Literal["true", "false"]


class VehicleParameters(Parameters, frozen=True, kw_only=True):
    """A vehicle."""

    vehicle_id: VehicleParameter


class MeterParameters(Parameters, frozen=True, kw_only=True):
    """A meter."""

    meter_id: MeterParameter


class MetersParameters(Parameters, frozen=True, kw_only=True):
    """Which meters."""

    charging: Annotated[Flag, Meta(description="Only those that charge, or only those that do not.")] | None = None
    stale: (
        Annotated[Flag, Meta(description="Only those whose newest reading is over five minutes old, or only others.")]
        | None
    ) = None
    limit: Annotated[int, Meta(ge=1, le=1000, description="The length of a page.")] = 100
    cursor: DeviceCursorParameter | None = None


class VehiclesParameters(MetersParameters, frozen=True, kw_only=True):
    """Which vehicles."""

    status: (
        Annotated[
            Literal["ok", "degraded", "implausible", "unknown"],
            Meta(description="Only those with this status over the last 24 hours."),
        ]
        | None
    ) = None


def state_operations(reader: Reader, clock: Clock) -> list[Operation]:
    """What answers from `reader`, at the time that `clock` tells."""
    return [*_lists(reader, clock), *_singles(reader, clock)]


def _lists(reader: Reader, clock: Clock) -> list[Operation]:
    async def list_vehicles(asked: VehiclesParameters) -> Vehicles:
        which = LiveFilter(_flag(asked.charging), _flag(asked.stale), asked.status)
        found = await vehicle_page(
            reader, which, asked.cursor or "", asked.limit + 1, clock()
        )  # one more: a next page?
        page = tuple(answer(ListedVehicle, state) for state in found[: asked.limit])
        return Vehicles(page, page[-1].vehicle_id if len(found) > asked.limit else None)

    async def list_meters(asked: MetersParameters) -> Meters:
        which = LiveFilter(_flag(asked.charging), _flag(asked.stale))
        found = await meter_page(reader, which, asked.cursor or "", asked.limit + 1, clock())
        page = tuple(answer(Meter, state) for state in found[: asked.limit])
        return Meters(page, page[-1].meter_id if len(found) > asked.limit else None)

    return [
        Operation(
            method="GET",
            path="/v1/vehicles",
            handler=list_vehicles,
            tag="state",
            summary="Vehicles with their newest measured reading and their last 24 hours",
            description="In the order of their ids.",
            parameters=VehiclesParameters,
            answer=Vehicles,
            codes=DATABASE_CODES,
        ),
        Operation(
            method="GET",
            path="/v1/meters",
            handler=list_meters,
            tag="state",
            summary="Meters with their newest measured reading",
            description="In the order of their ids.",
            parameters=MetersParameters,
            answer=Meters,
            codes=DATABASE_CODES,
        ),
    ]


def _flag(text: Flag | None) -> bool | None:
    return None if text is None else text == "true"


def _singles(reader: Reader, clock: Clock) -> list[Operation]:
    async def get_vehicle(asked: VehicleParameters) -> Vehicle:
        state = await reader.vehicle(asked.vehicle_id, clock())
        if state is None:
            raise ProblemError(Code.VEHICLE_NOT_FOUND, "No reading with this vehicleId was accepted yet.")
        return answer(Vehicle, state)

    async def get_meter(asked: MeterParameters) -> Meter:
        state = await reader.meter(asked.meter_id, clock())
        if state is None:
            raise ProblemError(Code.METER_NOT_FOUND, "No reading with this meterId was accepted yet.")
        return answer(Meter, state)

    return [
        Operation(
            method="GET",
            path="/v1/vehicles/{vehicleId}",
            handler=get_vehicle,
            tag="state",
            summary="A vehicle's newest measured reading",
            parameters=VehicleParameters,
            answer=Vehicle,
            codes=(Code.VEHICLE_NOT_FOUND, *DATABASE_CODES),
        ),
        Operation(
            method="GET",
            path="/v1/meters/{meterId}",
            handler=get_meter,
            tag="state",
            summary="A meter's newest measured reading",
            parameters=MeterParameters,
            answer=Meter,
            codes=(Code.METER_NOT_FOUND, *DATABASE_CODES),
        ),
    ]

"""The current state: of one vehicle, of one meter."""

from joulegate_core.clock import Clock
from joulegate_db.reader import Reader
from joulegate_http.codes import Code
from joulegate_http.operation import DATABASE_CODES, Operation
from joulegate_http.parameters import Parameters
from joulegate_http.problems import ProblemError
from joulegate_http.rules import MeterParameter, VehicleParameter
from joulegate_http.schemas import Meter, Vehicle, answer


class VehicleParameters(Parameters, frozen=True, kw_only=True):
    """A vehicle."""

    vehicle_id: VehicleParameter


class MeterParameters(Parameters, frozen=True, kw_only=True):
    """A meter."""

    meter_id: MeterParameter


def state_operations(reader: Reader, clock: Clock) -> list[Operation]:
    """What answers from `reader`, at the time that `clock` tells."""

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

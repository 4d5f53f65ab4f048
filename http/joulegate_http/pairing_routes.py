"""Which meter belongs to which vehicle, as their shapes suggest."""

from datetime import timedelta
from typing import Annotated

from msgspec import Meta

from joulegate_core.clock import Clock
from joulegate_db.pairing import pairings
from joulegate_db.reader import Reader
from joulegate_http.codes import Code
from joulegate_http.operation import DATABASE_CODES, Operation
from joulegate_http.problems import ProblemError
from joulegate_http.rules import VehicleParameter
from joulegate_http.schemas import PairingFinding, Pairings, Window, answer
from joulegate_http.windows import WINDOW_CODES, WindowParameters, window

LONGEST_WINDOW = timedelta(days=3)
"""More days show nothing that three do not, and their minutes would take long to read."""


class PairingParameters(WindowParameters, frozen=True, kw_only=True):
    """Which vehicles are judged, over which window."""

    vehicle_id: Annotated[VehicleParameter, Meta(description="Judge this vehicle only.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many findings are listed.")] = 100


def pairing_operations(reader: Reader, clock: Clock) -> list[Operation]:
    """What answers from `reader`; a window ends by default at the time that `clock` tells."""

    async def find_pairings(asked: PairingParameters) -> Pairings:
        result = await pairings(reader, window(asked, clock(), longest=LONGEST_WINDOW), asked.vehicle_id)
        if result is None:
            raise ProblemError(Code.VEHICLE_NOT_FOUND, "No reading with this vehicleId was accepted yet.")
        return Pairings(
            window=answer(Window, result.window),
            vehicles=result.vehicles,
            judged=result.judged,
            not_judged={str(reason): count for reason, count in result.not_judged.items()},
            found=len(result.findings),
            findings=tuple(answer(PairingFinding, finding) for finding in result.findings[: asked.limit]),
        )

    return [
        Operation(
            method="GET",
            path="/v1/analytics/pairing",
            handler=find_pairings,
            tag="analytics",
            cost=10,
            summary="Vehicles that seem to be paired with the wrong meter",
            description="Compares the shapes of charging over a window: the last 24 hours, or at most 3 days.",
            parameters=PairingParameters,
            answer=Pairings,
            codes=(*WINDOW_CODES, Code.VEHICLE_NOT_FOUND, *DATABASE_CODES),
        )
    ]

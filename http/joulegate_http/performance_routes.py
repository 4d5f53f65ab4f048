"""A vehicle's performance: one answer for a window, and the same in steps."""

from datetime import timedelta
from typing import Annotated

from msgspec import Meta

from joulegate_core.clock import Clock
from joulegate_db.reader import Reader
from joulegate_db.windows import Window as TimeWindow
from joulegate_http.codes import Code
from joulegate_http.operation import DATABASE_CODES, Operation
from joulegate_http.problems import ProblemError
from joulegate_http.rules import VehicleParameter
from joulegate_http.schemas import Bucket, Performance, Series, SeriesPoint, Window, answer
from joulegate_http.windows import WINDOW_CODES, WindowParameters, window

BUCKETS: dict[Bucket, timedelta] = {"15m": timedelta(minutes=15), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
MOST_POINTS = 1000


class PerformanceParameters(WindowParameters, frozen=True, kw_only=True):
    """A vehicle and a window."""

    vehicle_id: VehicleParameter


class SeriesParameters(PerformanceParameters, frozen=True, kw_only=True):
    """The same, and the length of a step."""

    bucket: Annotated[Bucket, Meta(description="By default the shortest that gives at most 1,000 points.")] | None = (
        None
    )


def performance_operations(reader: Reader, clock: Clock) -> list[Operation]:
    """What answers from `reader`; a window ends by default at the time that `clock` tells."""

    async def get_performance(asked: PerformanceParameters) -> Performance:
        result = await reader.performance(asked.vehicle_id, window(asked, clock()))
        if result is None:
            raise never_seen()
        return answer(Performance, result)

    async def get_series(asked: SeriesParameters) -> Series:
        whole = window(asked, clock())
        bucket = _bucket(asked.bucket, whole)
        points = await reader.series(asked.vehicle_id, whole, BUCKETS[bucket])
        if points is None:
            raise never_seen()
        return Series(
            vehicle_id=asked.vehicle_id,
            window=answer(Window, whole),
            bucket=bucket,
            points=tuple(answer(SeriesPoint, point) for point in points),
        )

    return [
        Operation(
            method="GET",
            path="/v1/analytics/performance/{vehicleId}",
            handler=get_performance,
            tag="analytics",
            summary="How efficiently a vehicle was charged",
            description="AC drawn, DC delivered and their ratio over a window: the last 24 hours, or at most 31 days.",
            parameters=PerformanceParameters,
            answer=Performance,
            codes=(*WINDOW_CODES, Code.VEHICLE_NOT_FOUND, *DATABASE_CODES),
        ),
        Operation(
            method="GET",
            path="/v1/analytics/performance/{vehicleId}/series",
            handler=get_series,
            tag="analytics",
            cost=1,
            summary="The same in steps, for plots",
            description="Each point is the answer for its own window. At most 31 days and 1,000 points.",
            parameters=SeriesParameters,
            answer=Series,
            codes=(*WINDOW_CODES, Code.TOO_MANY_POINTS, Code.VEHICLE_NOT_FOUND, *DATABASE_CODES),
        ),
    ]


def never_seen() -> ProblemError:
    """404 for a vehicle that no answer can be given for."""
    return ProblemError(
        Code.VEHICLE_NOT_FOUND,
        "This vehicle was never seen nor linked: no reading with its vehicleId was accepted.",
    )


def _bucket(asked: Bucket | None, whole: TimeWindow) -> Bucket:
    """The step that is asked for, by default the finest that gives at most a thousand points.

    Raises:
        ProblemError: `too_many_points`.
    """
    fine = [name for name, step in BUCKETS.items() if whole.length / step <= MOST_POINTS]
    if asked is not None and asked not in fine:
        raise ProblemError(
            Code.TOO_MANY_POINTS,
            f"bucket={asked} would give more than {MOST_POINTS} points: take {' or '.join(fine)}, or a shorter window.",
        )
    return asked or fine[0]

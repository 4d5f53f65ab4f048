"""What one run finds out about one rival."""

from typing import Annotated

import msgspec

from joulegate_cli.bench.report import Figure


class RivalResult(msgspec.Struct, frozen=True, rename="camel"):
    """Rates and CPU are of a backlog, from the first commit seen to the last. CPU is of one core.

    The ledgers: one kill -9 in the middle of a backlog, and three at the pace of 20,000 devices, a reading a minute each.
    """

    messages: int
    backlog_messages: int
    paced_messages: int
    per_second: Annotated[float, Figure("committed, messages/s")]
    rival_cpu_us: Annotated[float, Figure("CPU of it, us a message")]
    database_cpu_us: Annotated[float, Figure("CPU of the database, us a message")]
    cpu_us: Annotated[float, Figure("CPU together, us a message")]
    peak_mb: Annotated[float, Figure("peak memory, MB")]
    lost_in_backlog: Annotated[float, Figure("lost, killed once in a backlog")]
    doubled_in_backlog: Annotated[float, Figure("doubled, killed once in a backlog")]
    lost_at_pace: Annotated[float, Figure("lost, killed three times at the fleet's pace")]
    doubled_at_pace: Annotated[float, Figure("doubled, killed three times at the fleet's pace")]

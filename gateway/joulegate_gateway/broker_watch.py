"""What the broker says of itself: how many messages it has dropped. A loss that no one behind the broker could see otherwise."""

import contextlib

import aiomqtt
import structlog
from aiomqtt import QoS
from prometheus_client import Gauge

from joulegate_gateway.connection import Connection

log = structlog.get_logger()

DROPPED_TOPIC = "$SYS/broker/publish/messages/dropped"
"""mosquitto(8): messages dropped because of queue or in-flight limits, over all clients, since the broker's start. Retained,
and published every `sys_interval` seconds when it has changed. Brokers without this topic say nothing."""


class BrokerWatch:
    """Follows the broker's count. A rise is an error in the log: readings that devices believe delivered are lost."""

    def __init__(self, dropped: Gauge) -> None:
        self._dropped = dropped
        self._total = 0

    async def follow(self, connection: Connection) -> None:
        """Subscribes to the count, which comes at once, for it is retained. A broker that refuses has none to tell.

        Raises:
            aiomqtt.ConnectError: the connection has ended.
        """
        with contextlib.suppress(aiomqtt.NegativeAckError):
            await connection.subscribe(DROPPED_TOPIC, max_qos=QoS.AT_MOST_ONCE)

    def take(self, payload: bytes) -> None:
        """Takes the count that the broker has published; what is no number is ignored."""
        if not payload.isdigit():
            return
        total = int(payload)
        if total > self._total:
            log.error("broker_dropped_messages", more=total - self._total, since_broker_start=total)
        self._total = total  # less than before: the broker was started again
        self._dropped.set(total)

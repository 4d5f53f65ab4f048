"""The forms in which our session may be subscribed: plain, or shared in a group. One is wanted; any other doubles delivery.

A session keeps a subscription until it is unsubscribed, whatever the settings say by then. So each form is noted in the database
before SUBSCRIBE, and forgotten after UNSUBACK: a crash in between leaves a form too many, which a later start unsubscribes.
"""

import asyncio
from collections.abc import Iterable

import aiomqtt
import mqtt5
import structlog
from aiomqtt import QoS, RetainHandling
from prometheus_client import Counter

from joulegate_core.errors import BrokerUnavailableError, DatabaseUnavailableError, JoulegateError
from joulegate_core.settings import Settings
from joulegate_core.telemetry import TOPIC_FILTERS
from joulegate_db.subscriptions import SubscriptionRecord
from joulegate_gateway.connection import Connection

log = structlog.get_logger()

PLAIN = ""
"""The share group of the plain form."""

UNSUBACK_SECONDS = 30.0
"""How long the answer to UNSUBSCRIBE may take after all that the broker had sent before."""


class UnsubscribeError(JoulegateError):
    """The broker refuses UNSUBSCRIBE, or does not answer it."""


class Forms:
    """Brings the session's subscriptions to what the settings want, on each connection anew.

    The database is asked once, and told only when something changes.
    """

    def __init__(self, settings: Settings) -> None:
        self._record = SubscriptionRecord(settings.database_url, settings.client_id)
        self._wanted = settings.share_group
        self._always = settings.subscribe == "always"
        self._noted: set[str] | None = None  # None: not read yet
        # the plain form whether it is noted or not: the session may be older than the record
        self._others = {PLAIN} - {self._wanted}
        self._joined = False
        self._expects_session = False

    async def prepare(self, *, joining: bool) -> None:
        """Reads what is noted, and notes the wanted form if it is to be joined. Comes before the connection.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
        """
        if self._noted is None:
            self._noted = await self._record.read()
            self._others |= self._noted - {self._wanted}
            self._expects_session = self._wanted in self._noted
        if joining and self._wanted not in self._noted:
            await self._record.note(self._wanted)
            self._noted.add(self._wanted)

    async def join(self, connection: Connection, sessions_lost: Counter) -> None:
        """SUBSCRIBEs to the wanted form, then UNSUBSCRIBEs the others: an overlap makes duplicates, a gap would lose readings.

        A session that should be there and is not is counted in `sessions_lost`.

        Raises:
            BrokerUnavailableError: the broker refuses the subscription.
            aiomqtt.ConnectError: the connection has ended.
        """
        if self._joined and connection.session_present and not self._always:
            return
        if self._expects_session and not connection.session_present:
            sessions_lost.inc()
            log.error(
                "session_lost", reason="it expired or was deleted at the broker: what was published meanwhile is lost"
            )
        await self._subscribe(connection)
        self._expects_session = True
        try:
            await self._drop(connection, self._others)
        except UnsubscribeError as error:
            log.warning("other_forms_stay", error=str(error))
        self._joined = True

    async def leave(self, connection: Connection) -> None:
        """UNSUBSCRIBEs every form.

        Raises:
            UnsubscribeError: the broker refuses, or does not answer.
            aiomqtt.ConnectError: the connection has ended.
        """
        await self._drop(connection, self._others | {self._wanted})

    async def _subscribe(self, connection: Connection) -> None:
        """A resumed session must not get retained messages again: Retain Handling 2."""
        for topic_filter in _filters([self._wanted]):
            try:
                await connection.subscribe(
                    topic_filter, max_qos=QoS.AT_LEAST_ONCE, retain_handling=RetainHandling.SEND_NEVER
                )
            except aiomqtt.NegativeAckError as error:
                raise BrokerUnavailableError(
                    f"the broker refused the subscription to {topic_filter}: {error}"
                ) from error

    async def _drop(self, connection: Connection, forms: set[str]) -> None:
        """UNSUBSCRIBEs `forms`, then forgets them. A session that has just begun has no subscription to lose."""
        if connection.session_present and forms:
            await _unsubscribe(connection, forms)
        if stale := forms & (self._noted or set()):
            try:
                await self._record.forget(stale)
            except DatabaseUnavailableError as error:
                log.warning("subscriptions_not_forgotten", error=str(error))  # too many rows do no harm
            else:
                self._noted = (self._noted or set()) - stale


def _filters(forms: Iterable[str]) -> list[str]:
    prefixes = [f"$share/{form}/" if form else "" for form in sorted(forms)]
    return [prefix + topic_filter for prefix in prefixes for topic_filter in TOPIC_FILTERS.values()]


async def _unsubscribe(connection: Connection, forms: set[str]) -> None:
    asking = asyncio.gather(*(_unsubscribe_one(connection, topic_filter) for topic_filter in _filters(forms)))
    try:
        await connection.ping()  # a backlog comes before the answers, however long it takes to settle
        await asyncio.wait({asking}, timeout=UNSUBACK_SECONDS)
        if not asking.done():
            raise UnsubscribeError(
                f"the broker did not answer UNSUBSCRIBE within {UNSUBACK_SECONDS:.0f} s: look at its log, and note that the built-in "
                "broker has no UNSUBSCRIBE"
            )
        await asking
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def _unsubscribe_one(connection: Connection, topic_filter: str) -> None:
    try:
        await connection.unsubscribe(topic_filter)
    except aiomqtt.NegativeAckError as error:
        if mqtt5.UnsubAckReasonCode.NO_SUBSCRIPTION_EXISTED.name not in str(error):
            raise UnsubscribeError(
                f"the broker refused to unsubscribe from {topic_filter}: {error}; see its log"
            ) from error

"""A broker that cannot be reached or says no, in words for people."""

import contextlib
import os
import socket
import ssl

import mqtt5

from joulegate_core.broker import BrokerAddress
from joulegate_core.errors import BrokerUnavailableError
from joulegate_core.tls import BROKER, why_tls_failed

FIRST_REFUSAL = 128
"""MQTT 5, 2.4: reason codes from 0x80 on are errors. 0x10, no matching subscribers, is not."""

_LOGIN_REFUSALS = (134, 135, 140)  # bad user name or password, not authorized, bad authentication method


def unreachable(address: BrokerAddress, error: OSError) -> BrokerUnavailableError:
    """The error for a connection that did not come about, with what to do next."""
    if isinstance(error, ssl.SSLError):
        return BrokerUnavailableError(
            f"the broker at {address.endpoint} cannot be used: {why_tls_failed(error, BROKER)}"
        )
    return BrokerUnavailableError(
        f"the broker at {address.endpoint} cannot be reached ({_why(error)}): "
        "start it, or set JOULEGATE_MQTT_URL to where it is"
    )


def check_connack(address: BrokerAddress, connack: mqtt5.ConnAckPacket) -> None:
    """Returns when the broker accepted the connection.

    Raises:
        BrokerUnavailableError: it refused, with what to do next.
    """
    reason = connack.reason_code.value  # the codec's enums are no integers at run time
    if reason < FIRST_REFUSAL:
        return
    name = _words(connack.reason_code.name)
    if reason in _LOGIN_REFUSALS:
        raise BrokerUnavailableError(
            f"the broker at {address.endpoint} refused the login {_whose(address)} ({name}): "
            "check user and password in JOULEGATE_MQTT_URL, or in the file of --logins"
        )
    raise BrokerUnavailableError(f"the broker at {address.endpoint} refused the connection ({name}): its log says more")


def _whose(address: BrokerAddress) -> str:
    return "without a user" if address.username is None else f"of {address.username}"


def puback_reason(code: int) -> str:
    """The name of a PUBACK's reason code; brokers send codes that MQTT 5 does not list for PUBACK."""
    with contextlib.suppress(ValueError):
        return _words(mqtt5.PubAckReasonCode(code).name)
    return f"reason code 0x{code:02X}"


def _why(error: OSError) -> str:
    """A few words: asyncio puts addresses or nothing at all into `str(error)`."""
    match error:
        case socket.gaierror():
            return "the host name is unknown"
        case TimeoutError(errno=None):
            return "no answer in time"
        case ConnectionError(errno=int(code)):
            return os.strerror(code).lower()
    return str(error)


def _words(name: str) -> str:
    return name.replace("_", " ").lower()

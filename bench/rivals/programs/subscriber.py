"""An aiomqtt 2 client with a persistent session, for the two rivals that use it."""

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from rows import BROKER_PORT, CLIENT_ID, SESSION_EXPIRY_SECONDS, TOPICS

ANSWER_SECONDS = 120
"""The answer to a subscription comes after the backlog of the session; aiomqtt's own 10 s are too short for one."""


def client() -> aiomqtt.Client:
    """Not connected yet. aiomqtt 2 takes messages into a queue of its own, and they are acknowledged by then."""
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = SESSION_EXPIRY_SECONDS
    return aiomqtt.Client(
        "127.0.0.1",
        BROKER_PORT,
        identifier=CLIENT_ID,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=False,
        properties=properties,
        timeout=ANSWER_SECONDS,
    )


async def subscribe(connected: aiomqtt.Client) -> None:
    """To both streams. To be run beside what takes the messages, for the same reason."""
    for topic in TOPICS:
        await connected.subscribe(topic, qos=1)

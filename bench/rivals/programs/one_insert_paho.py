"""The subscriber of most tutorials: paho's callback stores each message with an INSERT. paho acknowledges after the callback."""

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from rows import BROKER_PORT, CLIENT_ID, DATABASE_URL, METER, SESSION_EXPIRY_SECONDS, TOPICS, VEHICLE, row


def main() -> None:
    """Runs until it is killed."""
    database = psycopg.connect(DATABASE_URL, autocommit=True, prepare_threshold=1)
    cursor = psycopg.RawCursor(database)  # takes $1, as the others do

    def store(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        is_meter, values = row(message.topic, message.payload)
        cursor.execute(METER if is_meter else VEHICLE, values)

    def subscribe(connected: mqtt.Client, *_: object) -> None:
        connected.subscribe([(topic, 1) for topic in TOPICS])

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=CLIENT_ID, protocol=mqtt.MQTTv5)
    client.on_message = store
    client.on_connect = subscribe
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = SESSION_EXPIRY_SECONDS
    client.connect("127.0.0.1", BROKER_PORT, clean_start=False, properties=properties)
    client.loop_forever()


main()

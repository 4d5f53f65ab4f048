"""What the Python rivals share: the settings that they are started with, a reading as a row, and the INSERT for it."""

import json
import os
from datetime import datetime

BROKER_PORT = int(os.environ.get("RIVAL_BROKER_PORT", "0"))
CLIENT_ID = os.environ.get("RIVAL_CLIENT_ID", "")
DATABASE_URL = os.environ.get("RIVAL_DATABASE_URL", "")
SESSION_EXPIRY_SECONDS = 86_400
TOPICS = ("fleet/+/meter", "fleet/+/vehicle")

METER = "insert into readings_meter (device, charge_point, ts, kwh, voltage) values ($1, $2, $3, $4, $5)"
VEHICLE = (
    "insert into readings_vehicle (device, charge_point, ts, kwh, soc, battery_temp) values ($1, $2, $3, $4, $5, $6)"
)


def row(topic: str, payload: bytes) -> tuple[bool, tuple[object, ...]]:
    """Whether it is a meter's, and the values of its INSERT."""
    _, charge_point, stream = topic.split("/")
    message = json.loads(payload)
    ts = datetime.fromisoformat(message["timestamp"])
    if stream == "meter":
        return True, (message["meterId"], charge_point, ts, message["kwhConsumedAc"], message["voltage"])
    values = (message["kwhDeliveredDc"], message["soc"], message["batteryTemp"])
    return False, (message["vehicleId"], charge_point, ts, *values)

"""What the devices of a bench publish: pairs of a meter and a vehicle, each pair at a charge point of its own."""

STREAMS = ("meter", "vehicle")


def message(slot: int, number: int, timestamp: str) -> tuple[str, bytes]:
    """Topic and payload of one reading.

    Args:
        slot: the device: slots 0 and 1 are the meter and the vehicle of the first pair, and so on.
        number: which of the device's readings; energies differ a little from one to the next.
        timestamp: as it stands in JSON: a quoted RFC 3339 time, or epoch milliseconds.
    """
    pair, is_vehicle = divmod(slot, 2)
    kwh = 0.1 + (pair * 7 + number) % 100 / 1000
    if is_vehicle:
        payload = (
            f'{{"vehicleId":"v-{pair:06d}","soc":{20 + number % 70}.5,"kwhDeliveredDc":{kwh * 0.92:.4f},'
            f'"batteryTemp":{24 + pair % 9}.25,"timestamp":{timestamp}}}'
        )
    else:
        payload = f'{{"meterId":"m-{pair:06d}","kwhConsumedAc":{kwh:.4f},"voltage":{229 + pair % 5}.4,"timestamp":{timestamp}}}'
    return f"fleet/cp-{pair:06d}/{STREAMS[is_vehicle]}", payload.encode()

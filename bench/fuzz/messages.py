"""Messages for the fuzz: valid ones, with faults built in. Everything is drawn from a `Random`, so a seed repeats it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from random import Random

from fuzz.compare import NOW
from fuzz.odd import BROKEN, NAMES, NUMBERS, TIMES, TOPICS, VALUES

Member = tuple[bytes, bytes]
"""Name and value as they are written in JSON."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW_SECONDS = int(NOW.timestamp())
WINDOW_SECONDS = 7 * 86_400

LIMITS = {
    "kwhConsumedAc": (0, 10**9),
    "kwhDeliveredDc": (0, 10**9),
    "voltage": (0, 2000),
    "soc": (0, 100),
    "batteryTemp": (-60, 150),
}
FIELDS = {
    "meter": ("meterId", "kwhConsumedAc", "voltage", "timestamp"),
    "vehicle": ("vehicleId", "soc", "kwhDeliveredDc", "batteryTemp", "timestamp"),
}


def message(random: Random) -> tuple[str, bytes]:
    """Topic and payload: often valid, else with one to three faults."""
    stream = random.choice(("meter", "vehicle"))
    topic = f"fleet/cp-1/{stream}" if random.random() < 0.95 else random.choice(TOPICS)
    members = [(json.dumps(field).encode(), valid_value(random, field)) for field in FIELDS[stream]]
    for _ in range(random.choice((0, 0, 1, 1, 2, 3))):
        random.choice(FAULTS)(random, members)
    return topic, _rendered(random, members)


def valid_value(random: Random, field: str) -> bytes:
    """JSON that is within the limits of `field`; an id for what is no number and no time."""
    if field == "timestamp":
        return valid_time(random)
    if field not in LIMITS:
        return json.dumps("".join(random.choices("abzAZ09._:-", k=random.randint(1, 64)))).encode()
    lowest, highest = LIMITS[field]
    value = random.choice((lowest, highest, random.uniform(lowest, highest), random.randint(lowest, highest)))
    return format(value, random.choice(("", "", ".17g", ".3e", ".1f"))).encode()


def valid_time(random: Random) -> bytes:
    """A moment at or about the clock window's edges, or anywhere in it, in one of the ways to write it."""
    seconds = random.choice((0, -300, 300, -WINDOW_SECONDS, random.randint(-WINDOW_SECONDS, 300)))
    microseconds = random.choice((0, 0, 0, 1, -1, random.randint(-(10**6), 10**6)))
    moment = NOW + timedelta(seconds=seconds, microseconds=microseconds)
    if random.random() < 0.3:
        return str((moment - EPOCH) // timedelta(milliseconds=1)).encode()
    offset = random.choice((0, 0, 120, -330, 840, -720, 1439, -1439, random.randint(-1439, 1439)))
    local = moment.astimezone(timezone(timedelta(minutes=offset)))
    digits = f"{local.microsecond:06}{random.randrange(10**6):06}"[: random.choice((0, 0, 3, 6, 6, 7, 9, 12))]
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
    if offset == 0:
        zone = random.choice(("Z", "z", "+00:00", "-00:00", "+0000"))
    between = random.choice("TTTTt ")
    return f'"{local:%Y-%m-%d}{between}{local:%H:%M:%S}{"." if digits else ""}{digits}{zone}"'.encode()


def odd_time(random: Random) -> bytes:
    """A time from the collection, one with a character changed, or a number of another unit."""
    kind = random.randrange(3)
    if kind == 0:
        return json.dumps(random.choice(TIMES), ensure_ascii=random.random() < 0.5).encode()
    if kind == 1:
        text = bytearray(valid_time(random))
        text[random.randrange(len(text))] = random.choice(b"0123456789TZtz+-:., ")
        return bytes(text)
    unit = random.choice((1, 10**3, 10**6, 10**9, 10**12))
    number = random.choice((0, 1, -1)) * NOW_SECONDS * unit + random.randint(-(10**6), 10**6)
    return str(number).encode() + random.choice((b"", b"", b".0", b".5", b"e0", b"e3"))


def odd_value(random: Random) -> bytes:
    """A value of any kind, now and then one that is no JSON."""
    kind = random.randrange(6)
    if kind == 0:
        return odd_time(random)
    if kind == 1:
        digits = "".join(random.choices("0123456789", k=random.randint(1, 30)))
        return f"{random.choice(('', '-'))}{digits[:5]}.{digits}e{random.randint(-330, 330)}".encode()
    if kind == 2:
        codes = (random.choice((random.randrange(128), random.randrange(0xD800))) for _ in range(random.randint(0, 70)))
        return json.dumps("".join(map(chr, codes)), ensure_ascii=random.random() < 0.5).encode()
    return random.choice(random.choice((NUMBERS, NUMBERS, VALUES, VALUES, BROKEN)))


def escaped(random: Random, text: bytes) -> bytes:
    """A JSON string with some of its letters written as \\uXXXX: the same to a reader of JSON. Leaves all else as it is."""
    if not text.startswith(b'"') or b"\\" in text:
        return text
    return b"".join(
        b"\\u%04x" % byte if chr(byte).isalnum() and byte < 128 and random.random() < 0.3 else bytes((byte,))
        for byte in text
    )


def _replace(random: Random, members: list[Member]) -> None:
    at = random.randrange(len(members))
    name, _ = members[at]
    if name == b'"timestamp"' and random.random() < 0.7:
        members[at] = name, odd_time(random)
    else:
        members[at] = name, odd_value(random)


def _drop(random: Random, members: list[Member]) -> None:
    if len(members) > 1:
        del members[random.randrange(len(members))]


def _give_twice(random: Random, members: list[Member]) -> None:
    name, value = random.choice(members)
    field = name.strip(b'"').decode(errors="replace")
    other = random.choice((value, odd_value(random), odd_time(random), valid_value(random, field)))
    members.insert(random.randrange(len(members) + 1), (name, other))


def _add(random: Random, members: list[Member]) -> None:
    members.insert(random.randrange(len(members) + 1), (random.choice(NAMES), odd_value(random)))


def _escape(random: Random, members: list[Member]) -> None:
    members[:] = [(escaped(random, name), escaped(random, value)) for name, value in members]


def _shuffle(random: Random, members: list[Member]) -> None:
    random.shuffle(members)


FAULTS: list[Callable[[Random, list[Member]], None]] = [
    *[_replace] * 4, _drop, _give_twice, _add, _add, _escape, _shuffle,
]  # fmt: skip


def _rendered(random: Random, members: list[Member]) -> bytes:
    spaces = (b"", b"", b"", b" ", b"\n", b"\t", b" \r\n ") if random.random() < 0.3 else (b"",)

    def spaced(*tokens: bytes) -> bytes:
        return b"".join(random.choice(spaces) + token for token in tokens) + random.choice(spaces)

    payload = spaced(b"{", b",".join(spaced(name, b":", value) for name, value in members), b"}")
    return payload.ljust(random.choice((8191, 8192, 8193))) if random.random() < 0.01 else payload

"""Judges a mosquitto.conf beside the fleet: how many seconds without a gateway its queue survives, and what a crash costs."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from joulegate_cli.doctor.database import hours
from joulegate_cli.doctor.finding import Finding, critical, ok, warning
from joulegate_core.errors import JoulegateError

PAYLOAD_BYTES = 110
"""Of a reading, about."""

SURVIVES_WARNING = 3600.0
SURVIVES_CRITICAL = 600.0
PLANNED_DEVICES = 20_000
"""Judged for so many while no device reports."""

UNITS = {"h": 3600, "d": 86_400, "w": 604_800, "m": 2_592_000, "y": 31_536_000}
AUTOSAVE_SECONDS = 300


class ConfError(JoulegateError):
    """The configuration cannot be read."""


class MosquittoConf(msgspec.Struct, frozen=True):
    """What matters of a mosquitto.conf, with mosquitto 2.0's defaults. 0 messages or bytes: no bound; expiration 0: never."""

    max_queued_messages: int = 1000
    max_queued_bytes: int = 0
    persistence: bool = False
    autosave_interval: int = 1800
    autosave_on_changes: bool = False
    persistent_client_expiration: int = 0
    max_packet_size: int = 0
    message_size_limit: int = 0

    def survives(self, per_second: float) -> float:
        """Seconds without a gateway until a queue is full; infinite without a bound."""
        times = [float("inf")]
        if self.max_queued_messages:
            times.append(self.max_queued_messages / per_second)
        if self.max_queued_bytes:
            times.append(self.max_queued_bytes / (per_second * PAYLOAD_BYTES))
        return min(times)


def read_conf(path: Path) -> MosquittoConf:
    """Reads the file; options that say nothing here are passed over, the last of a name counts.

    Raises:
        ConfError: it cannot be read, or a value is not one.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfError(f"{path} cannot be read: {error}") from None
    given: dict[str, int | bool] = {}
    for number, line in enumerate(lines, start=1):
        name, _, value = line.strip().partition(" ")
        if name in MosquittoConf.__struct_fields__:
            try:
                given[name] = _value(name, value.strip())
            except ValueError:
                raise ConfError(f"{path}, line {number}: {name} has no such value") from None
    return msgspec.convert(given, MosquittoConf)


def _value(name: str, text: str) -> int | bool:
    if name in {"persistence", "autosave_on_changes"}:
        return {"true": True, "false": False}[text] if text in {"true", "false"} else bool(int(text))
    if name == "persistent_client_expiration":
        return int(text[:-1]) * UNITS[text[-1]] if text[-1:] in UNITS else int("")
    return int(text)


def judge_conf(conf: MosquittoConf, reporting: int, session_expiry: int, interval: float) -> Iterator[Finding]:
    """Queue, persistence, expiry. `reporting` devices, a reading each `interval` seconds."""
    devices = reporting or PLANNED_DEVICES
    survives = conf.survives(devices / interval)
    of = f"{devices:,} devices" + ("" if reporting else " (none reports now)")
    if survives == float("inf"):
        text = "the queue has no bound: a long outage fills the broker's memory, and then all of it is lost"
        yield warning(
            "broker queue",
            text,
            "set max_queued_messages and max_queued_bytes (mosquitto/mosquitto.conf has the arithmetic)",
        )
    else:
        text = f"survives {survives:,.0f} s ({hours(survives)}) without a gateway at {of}"
        judge = critical if survives < SURVIVES_CRITICAL else warning
        if survives >= SURVIVES_WARNING:
            yield ok("broker queue", text)
        else:
            yield judge(
                "broker queue",
                f"{text}, then readings are lost",
                "raise max_queued_messages and max_queued_bytes (mosquitto/mosquitto.conf)",
            )
    yield from _judge_saving(conf)
    if 0 < conf.persistent_client_expiration < session_expiry:
        text = f"the broker forgets sessions after {hours(conf.persistent_client_expiration)}, the gateway asks for {hours(session_expiry)}"
        yield warning(
            "broker session", text, "raise persistent_client_expiration over JOULEGATE_SESSION_EXPIRY_SECONDS"
        )


def _judge_saving(conf: MosquittoConf) -> Iterator[Finding]:
    if not conf.persistence:
        yield critical(
            "broker persistence",
            "off: a restart loses the queue and the session",
            "`persistence true` in mosquitto.conf",
        )
    elif conf.autosave_on_changes:
        yield ok("broker persistence", f"on; a kill loses up to {conf.autosave_interval:,} changes")
    elif not 0 < conf.autosave_interval <= AUTOSAVE_SECONDS:
        every = f"every {conf.autosave_interval:,} s" if conf.autosave_interval else "only when it is stopped in order"
        text = f"on, but it is saved {every}: a kill loses what was queued since"
        yield warning("broker persistence", text, "`autosave_interval 30` in mosquitto.conf")
    else:
        yield ok("broker persistence", f"on; a kill loses what was queued in the last {conf.autosave_interval} s")

"""The faults that a fleet can have: their names, what they do, and what a scenario can say of each."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from joulegate_core.errors import SettingsError

Subject = Literal["charge point", "meter", "vehicle", "device", "site"]


class FaultKind(msgspec.Struct, frozen=True):
    """Whom a fault strikes and what it does. `share`: of these, when a scenario or a control file gives none.

    `probability`: a fault of single readings, with its default chance for each; None: a condition that lasts.
    """

    subject: Subject
    text: str
    share: float
    probability: float | None = None


CATALOGUE = {
    "charger_degraded": FaultKind("charge point", "wastes energy: under 85 % efficiency", 0.04),
    "grid_outage": FaultKind("site", "no power: nothing charges, meters are off, readings of vehicles come late", 1.0),
    "meter_drift": FaultKind("meter", "reads too little or too much, by up to 15 %", 0.02),
    "meter_dead": FaultKind("meter", "reports 0 kWh while energy flows", 0.01),
    "meter_stuck": FaultKind("meter", "repeats its last value", 0.01),
    "sensor_stuck": FaultKind("vehicle", "repeats its last state of charge and temperature", 0.02),
    "register_reset": FaultKind("meter", "the counter begins at 0 again", 1.0, 0.0005),
    "register_zero": FaultKind("meter", "one reading of the counter is 0", 1.0, 0.001),
    "clock_skew": FaultKind("device", "its clock is wrong by up to 90 s", 0.1),
    "silent": FaultKind("device", "sends nothing, and nothing later", 0.01),
    "offline": FaultKind("device", "sends nothing, and then everything in one burst", 0.02),
    "missing": FaultKind("device", "a reading is lost", 1.0, 0.01),
    "duplicate": FaultKind("device", "a reading is sent twice", 1.0, 0.01),
    "out_of_order": FaultKind("device", "a reading is sent after the next one", 1.0, 0.01),
    "malformed": FaultKind("device", "a payload is cut short or garbled", 1.0, 0.002),
    "flapping": FaultKind("device", "its connection drops, again and again (with --per-device)", 0.02, 0.2),
}

REGISTER_FAULTS = {"register_reset", "register_zero"}

Probability = Annotated[float, Meta(ge=0, le=1)]
FaultHours = Annotated[float, Meta(ge=0, le=10_000)]


class FaultSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a fault occurs: `share` of its subjects have it at all.

    A fault of single readings strikes each with `probability`. A condition begins `after_hours`, and holds for `lasts_hours` or
    to the end; with `every_hours` it comes and goes, on average so far apart and so long. `first`: a subject that has it for certain,
    and from which the others are spread.
    """

    share: Probability | None = None
    probability: Probability | None = None
    after_hours: FaultHours = 0.0
    lasts_hours: Annotated[float, Meta(gt=0, le=10_000)] | None = None
    every_hours: Annotated[float, Meta(gt=0, le=10_000)] | None = None
    first: Annotated[int, Meta(ge=1)] | None = None

    def share_of(self, name: str) -> float:
        """The share, or the default of the fault of this name."""
        return CATALOGUE[name].share if self.share is None else self.share


def read_control(text: str, settings: dict[str, FaultSetting]) -> dict[str, FaultSetting]:
    """The faults that a control file turns on: a line `NAME` or `NAME SHARE` for each; the others are off.

    Args:
        text: the file's content; `#` begins a comment.
        settings: those of the scenario, which hold for what a line does not say.

    Raises:
        SettingsError: a line names no fault, or a share that is not 0 to 1.
    """
    on: dict[str, FaultSetting] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        name, *rest = words
        if name not in CATALOGUE:
            raise SettingsError(f"line {number}: there is no fault {name!r}: choose from {', '.join(CATALOGUE)}")
        # turned on by hand it begins now, not when the scenario's timetable says
        setting = settings.get(name) or FaultSetting()
        on[name] = msgspec.structs.replace(setting, after_hours=0.0, lasts_hours=None, every_hours=None)
        if rest:
            on[name] = msgspec.structs.replace(on[name], share=_share(number, rest))
    return on


def _share(number: int, words: list[str]) -> float:
    try:
        return msgspec.convert(" ".join(words), Probability, strict=False)
    except msgspec.ValidationError:
        raise SettingsError(f"line {number}: a share is a number from 0 to 1, not {' '.join(words)!r}") from None

"""The control file: which faults are on, changed while the simulation runs."""

import asyncio
from pathlib import Path
from typing import NoReturn

import structlog

from joulegate_core.errors import SettingsError
from joulegate_simulator.fault_catalogue import read_control
from joulegate_simulator.fault_plan import FaultPlan

LOOK_SECONDS = 0.5

log = structlog.get_logger(__name__)


async def watch_control(path: Path, plan: FaultPlan, *, per_device: bool = True) -> NoReturn:
    """Looks at the file twice a second, and puts what it says into effect. Without the file the scenario's faults hold.

    A file that cannot be read or is not valid changes nothing and is told in the log.

    Args:
        path: the file.
        plan: the faults that are on.
        per_device: whether devices have connections that can flap; where they have none, that it was asked for is told.
    """
    scenario = dict(plan.settings)
    seen: str | None = None
    while True:
        text = _read(path)
        if text != seen:
            seen = text
            try:
                plan.switch(scenario if text is None else read_control(text, scenario))
            except SettingsError as error:
                log.warning("faults_file_ignored", file=str(path), detail=str(error))
            else:
                log.info("faults_switched", on=sorted(plan.settings))
                if "flapping" in plan.settings and not per_device:
                    log.warning(
                        "flapping_needs_per_device", detail="no connection is a device's: start with --per-device"
                    )
        await asyncio.sleep(LOOK_SECONDS)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        log.warning("faults_file_ignored", file=str(path), detail=str(error))
        return None

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


async def watch_control(path: Path, plan: FaultPlan) -> NoReturn:
    """Looks at the file twice a second, and puts what it says into effect. Without the file the scenario's faults hold.

    A file that cannot be read or is not valid changes nothing and is told in the log.
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
        await asyncio.sleep(LOOK_SECONDS)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        log.warning("faults_file_ignored", file=str(path), detail=str(error))
        return None

"""SIGUSR1 to a service: what it is doing now, and what it spends its time on for the next ten seconds, as two files."""

import asyncio
import cProfile
import faulthandler
import os
import tempfile
import time
from pathlib import Path

import structlog

log = structlog.get_logger()

SECONDS = 10.0


class Profiler:
    """Profiles the event loop's thread, once at a time. Files go to the directory for temporary ones and are this user's alone."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._running: cProfile.Profile | None = None

    def begin(self) -> None:
        """Writes the stacks of all threads at once and the profile after some seconds; does nothing while one is made."""
        if self._running is not None:
            return
        stem = Path(tempfile.mkdtemp(prefix=f"joulegate-{os.getpid()}-")) / time.strftime("%H%M%S", time.gmtime())
        try:
            with stem.with_suffix(".stacks").open("w") as file:
                faulthandler.dump_traceback(file, all_threads=True)
                for task in asyncio.all_tasks():
                    task.print_stack(file=file)
            profile = cProfile.Profile()
            profile.enable()
        except (OSError, ValueError) as error:  # a full disk; another profiler is at work
            log.warning("profile_not_made", error=str(error))
            return
        self._running = profile
        log.info("profile_begun", stacks=str(stem.with_suffix(".stacks")), seconds=self._seconds)
        asyncio.get_running_loop().call_later(self._seconds, self._end, profile, stem.with_suffix(".pstats"))

    def _end(self, profile: cProfile.Profile, path: Path) -> None:
        profile.disable()
        self._running = None
        try:
            profile.dump_stats(path)
        except OSError as error:
            log.warning("profile_not_made", error=str(error))
        else:
            log.info("profile_made", profile=str(path))

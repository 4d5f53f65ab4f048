"""A small process that outlives `up`: when `up` is killed, it stops what `up` had started.

Its standard input is a pipe that nobody writes to: it ends when `up` ends, in whatever way. That works on every Unix and
for servers that are not ours; a signal on the parent's death (PR_SET_PDEATHSIG) is Linux's only, knows no order and is
forgotten when the user changes.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from joulegate_cli.up.journal import Journal, stop_leftovers
from joulegate_cli.up.logfiles import rotate


@asynccontextmanager
async def guarded(journal: Journal, log: Path) -> AsyncIterator[None]:
    """A guardian watches over the block. It holds the journal's lock too, so that a next run waits for it."""
    rotate(log)
    with log.open("ab") as output:
        guardian = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "joulegate_cli.up.guardian", str(journal.path)),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=(journal.fileno(),),
        )
    try:
        yield
    finally:
        if guardian.stdin is not None:
            guardian.stdin.close()
        await guardian.wait()


def main() -> None:
    """Waits for the end of standard input, then stops what the journal lists and still runs."""
    sys.stdin.buffer.read()
    for name in stop_leftovers(Path(sys.argv[1])):
        print(f"stopped {name}", flush=True)


if __name__ == "__main__":
    main()

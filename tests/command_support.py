"""The command line, as a user runs it."""

import os
import subprocess
import sys

COMMAND = [sys.executable, "-c", "from joulegate_cli.main import main; main()"]


def joulegate(url: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs `joulegate` with the database at `url` and no other than the given settings; one that hangs fails after a minute."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOULEGATE_")}
    return subprocess.run(
        [*COMMAND, *arguments],
        env=kept | {"JOULEGATE_DATABASE_URL": url, "COLUMNS": "120"} | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def done(url: str, *arguments: str) -> str:
    """Runs it, expects it to succeed without a word on standard error, and returns what it printed."""
    result = joulegate(url, *arguments)
    assert (result.returncode, result.stderr) == (0, ""), result
    return result.stdout

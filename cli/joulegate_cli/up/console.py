"""Plain lines on standard output, at once, for people and for pipes."""

import os
import sys
import time
from collections.abc import Callable

Note = Callable[[str], None]
"""Tells the person at the terminal that something happened."""


def say(line: str) -> None:
    """Prints one line. When nobody reads any more (`joulegate up | head`), what runs goes on in silence."""
    try:
        print(line, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(line: str) -> None:
    """Prints one line with the time of day: something that happened."""
    say(f"{time.strftime('%H:%M:%S')}  {line}")

"""The services' log files: a fresh one for each run, and what of them a person at the terminal must see."""

import json
from pathlib import Path

TAIL_BYTES = 8_192
TAIL_LINES = 6
LINE_CHARACTERS = 400
SHOWN_AT_ONCE = 5
IMPORTANT = {"warning", "error", "critical"}
FRAME = {"level", "timestamp", "component", "event", "exception"}


def rotate(path: Path) -> None:
    """Makes way for a fresh log; the one of the run before is kept as `<name>.1`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.replace(path.with_name(path.name + ".1"))


def tail(path: Path) -> str:
    """The last lines of a log, indented; they say why a process ended."""
    if not path.exists():
        return "    (no log)"
    with path.open("rb") as log:
        log.seek(max(0, log.seek(0, 2) - TAIL_BYTES))
        lines = log.read().decode(errors="replace").splitlines()
    shown = [f"    {line[:LINE_CHARACTERS]}" for line in lines if line.strip()][-TAIL_LINES:]
    return "\n".join(shown) or "    (nothing in its log)"


class ImportantLines:
    """Reads what was added to a JSON log since the last look, and keeps warnings and errors."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[str]:
        """New warnings and errors as readable lines, at most five at once; the log has all."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as log:
            log.seek(self._offset)
            text, newline, _ = log.read().rpartition(b"\n")
        self._offset += len(text) + len(newline)  # a line that is still being written is read next time
        lines = [line for record in text.splitlines() if (line := _readable(record)) is not None]
        if len(lines) > SHOWN_AT_ONCE:
            return [*lines[:SHOWN_AT_ONCE], f"and {len(lines) - SHOWN_AT_ONCE} more in {self._path}"]
        return lines


def _readable(raw: bytes) -> str | None:
    try:
        record = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("level") not in IMPORTANT:
        return None
    fields = [f"{name}={value}" for name, value in record.items() if name not in FRAME]
    return " ".join([f"{record['level']}: {record.get('event')}", *fields])[:LINE_CHARACTERS]

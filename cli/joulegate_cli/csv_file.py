"""CSV files from people: every error with its line and field, so that a file can be mended in one go."""

import csv
import io
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeVar

import msgspec
import typer

from joulegate_core.errors import JoulegateError
from joulegate_core.telemetry import is_valid_id

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 1, 1, tzinfo=UTC)

T = TypeVar("T")


class LineError(NamedTuple):
    """What is wrong with a line; `field` is empty when it is the line as a whole."""

    line: int
    field: str
    text: str

    def __str__(self) -> str:
        """For a person: line, field, text."""
        return f"line {self.line}: {f'{self.field}: ' if self.field else ''}{self.text}"


class FieldError(Exception):
    """A cell cannot be read. Its text says what is wanted."""


class FileError(JoulegateError):
    """The file as a whole cannot be read."""


class Row:
    """One line, by the names of the header. `read` collects errors and goes on."""

    def __init__(self, line: int, cells: dict[str, str], errors: list[LineError]) -> None:
        self.line = line
        self._cells = cells
        self._errors = errors

    def read(self, field: str, parse: Callable[[str], T]) -> T | None:
        """The cell as `parse` reads it; None, and an error, when it raises FieldError."""
        try:
            return parse(self._cells[field].strip())
        except FieldError as error:
            self.error(field, str(error))
            return None

    @property
    def errors(self) -> int:
        """How many errors there are so far, of this line and those before it."""
        return len(self._errors)

    def error(self, field: str, text: str) -> None:
        """Notes an error of this line."""
        self._errors.append(LineError(self.line, field, text))


def read_rows(path: Path, fields: Collection[str], errors: list[LineError]) -> Iterator[Row]:
    """The lines of a CSV file whose header has exactly `fields`, in any order. Empty lines are skipped; errors go to `errors`.

    Raises:
        FileError: it cannot be opened, is not UTF-8, or has another header.
    """
    lines = csv.reader(io.StringIO(_text_of(path), newline=""), strict=True)
    header = _header(path, next(lines, []), fields)
    while True:
        try:
            cells = next(lines, None)
        except csv.Error as error:
            raise FileError(f"{path}, line {lines.line_num}: {error}") from None
        if cells is None:
            return
        if len(cells) == len(header):
            yield Row(lines.line_num, dict(zip(header, cells, strict=True)), errors)
        elif cells:
            errors.append(LineError(lines.line_num, "", f"{len(header)} fields are wanted, these are {len(cells)}"))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # a spreadsheet writes a byte order mark
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not UTF-8: byte {error.start}") from None
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from None


def _header(path: Path, cells: Iterable[str], fields: Collection[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    if sorted(header) != sorted(fields):
        raise FileError(f"{path}, line 1: the header must be {','.join(fields)}")
    return header


def an_id(text: str) -> str:
    """An id that obeys the rule."""
    if not is_valid_id(text):
        raise FieldError("an id has 1 to 64 characters of A-Z a-z 0-9 . _ : and -")
    return text


def a_time(text: str) -> datetime:
    """An RFC 3339 time, in UTC."""
    try:
        time = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        raise FieldError("a time is RFC 3339 with an offset, such as 2026-05-01T00:00:00Z") from None
    if time.tzinfo is None:
        raise FieldError("the time has no offset: add Z for UTC, or one such as +02:00")
    if not EARLIEST <= time <= LATEST:
        raise FieldError(f"a time is between the years {EARLIEST.year} and {LATEST.year}")
    return time.astimezone(UTC)


def refuse(path: Path, errors: Iterable[LineError]) -> NoReturn:
    """Prints the errors in order of line and ends the command: nothing was changed."""
    found = sorted(errors)
    for error in found:
        print(f"{path}, {error}", file=sys.stderr)
    print(f"joulegate: nothing was changed: {len(found):,} errors in {path}", file=sys.stderr)
    raise typer.Exit(1)

"""An archive's folder: a Parquet file a stream and day, and a manifest a day, which is written last.

    DIR/meter_history/day=2026-05-01/readings.parquet
    DIR/vehicle_history/day=2026-05-01/readings.parquet
    DIR/days/2026-05-01.json

A file under its final name is complete and on the disk; what ends in `.part` is not, and is made anew.
"""

import hashlib
import os
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import msgspec

from joulegate_core.errors import JoulegateError
from joulegate_core.telemetry import Stream

FORMAT = 1
CHUNK = 1 << 20


class ArchiveError(JoulegateError):
    """A day cannot be archived, verified or restored; the message names it and says what to do."""


class Part(msgspec.Struct, frozen=True, rename="camel"):
    """A stream's readings of a day. `digest`: of the rows, whatever file or table they stand in; `sha256`: of the file; sizes in bytes."""

    rows: int
    digest: str
    octets: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """A day that is complete in the archive: both files were read back and agreed with the database."""

    format: int
    day: date
    archived_at: datetime
    version: str
    parts: dict[str, Part]

    @property
    def rows(self) -> int:
        """Of both streams."""
        return sum(part.rows for part in self.parts.values())

    @property
    def octets(self) -> int:
        """Of both files."""
        return sum(part.octets for part in self.parts.values())


class Archive:
    """The folder. Nothing is made before something is written."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def file(self, stream: Stream, day: date) -> Path:
        """Where the stream's readings of the day are."""
        return self.root / f"{stream}_history" / f"day={day.isoformat()}" / "readings.parquet"

    def manifest(self, day: date) -> Manifest | None:
        """The day's, None when it is not complete. Raises ArchiveError for one that cannot be read."""
        path = self._manifest(day)
        if not path.exists():
            return None
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Manifest)
        except (msgspec.MsgspecError, OSError) as error:
            raise ArchiveError(f"{path} cannot be read: {error}. Restore it from a copy of the archive") from None
        if found.format != FORMAT:
            raise ArchiveError(f"{path} has format {found.format}, this joulegate knows {FORMAT}: upgrade joulegate")
        return found

    def manifests(self) -> Iterator[Manifest]:
        """All, oldest first. Raises ArchiveError for one that cannot be read, and when there is no such folder."""
        if not self.root.is_dir():
            raise ArchiveError(f"{self.root} is no folder")
        for path in sorted((self.root / "days").glob("*.json")):
            found = self.manifest(date.fromisoformat(path.stem))
            if found is not None:
                yield found

    def write_manifest(self, manifest: Manifest) -> None:
        """Declares the day complete."""
        path = self._manifest(manifest.day)
        part = begin(path)
        part.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        finish(part, path)

    def _manifest(self, day: date) -> Path:
        return self.root / "days" / f"{day.isoformat()}.json"


def begin(path: Path) -> Path:
    """Where to write what will become `path`; what a killed run left there is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    return part


def finish(part: Path, path: Path) -> None:
    """Gives the file its name once it is on the disk; then the name is on the disk, too."""
    for each in (part, None, path.parent, path.parent.parent, path.parent.parent.parent):
        if each is None:
            part.replace(path)
            continue
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Of the file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()

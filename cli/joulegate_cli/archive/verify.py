"""Reads an archive back."""

from collections.abc import Iterator
from pathlib import Path

from joulegate_cli.archive.files import Rows, digest_of_file
from joulegate_cli.archive.layout import Archive, ArchiveError, Manifest, sha256_of
from joulegate_core.telemetry import Stream


def damages(folder: Path) -> Iterator[tuple[Manifest, list[str]]]:
    """Each day, and what is wrong with it: the file's bytes, then every row. Raises ArchiveError for a manifest that cannot be read."""
    archive = Archive(folder)
    for manifest in archive.manifests():
        yield manifest, [problem for stream in Stream if (problem := _damage(archive, manifest, stream))]


def _damage(archive: Archive, manifest: Manifest, stream: Stream) -> str:
    path, part = archive.file(stream, manifest.day), manifest.parts[stream]
    if not path.exists():
        return f"{path} is missing"
    try:
        if sha256_of(path) == part.sha256 and digest_of_file(path, stream) == Rows(part.rows, part.digest):
            return ""
    except ArchiveError as error:
        return str(error)
    return f"{path} is not what was written"

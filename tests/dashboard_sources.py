"""The digest of the dashboard's sources, as http/dashboard/digest.mjs computes it."""

import hashlib
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "http" / "dashboard"
ROOTS = ("build.mjs", "digest.mjs", "package-lock.json", "package.json", "src", "tsconfig.json")


def source_digest(folder: Path = FOLDER) -> str:
    """Over the paths and the contents of everything that the build depends on."""
    files = [
        file
        for root in ROOTS
        for file in ([folder / root] if (folder / root).is_file() else (folder / root).rglob("*"))
        if file.is_file()
    ]
    digest = hashlib.sha256()
    for path in sorted(file.relative_to(folder).as_posix() for file in files):
        digest.update(f"{path}\0{hashlib.sha256((folder / path).read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()

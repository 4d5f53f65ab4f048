"""Installs what the rivals are built on, pinned by hash, into `.joulegate/rivals/`: nothing of it enters joulegate's own environment."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

HERE = Path(__file__).parent
PLACE = HERE.parent.parent / ".joulegate" / "rivals"
OLDEST_NODE = (18, 5)


def python_packages() -> Path:
    """The directory with the Python rivals' packages, installed when it is missing.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why.
    """
    lock = HERE / "requirements.txt"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-qq",
        "--disable-pip-version-check",
        "--require-hashes",
        "--no-deps",
    ]

    def install(target: Path) -> None:
        subprocess.run([*pip, "-r", str(lock), "--target", str(target)], check=True)

    return _once("python", (lock,), install)


def npm_packages() -> Path:
    """The directory whose `node_modules` has the other rivals' packages, installed when it is missing.

    Raises:
        subprocess.CalledProcessError: npm failed; it has said why.
    """
    files = [HERE / name for name in ("package.json", "package-lock.json", ".npmrc")]

    def install(target: Path) -> None:
        target.mkdir(parents=True)
        for file in files:
            shutil.copy(file, target)
        subprocess.run(["npm", "ci", "--no-progress", "--loglevel=error"], cwd=target, check=True, stdout=sys.stderr)

    return _once("npm", files, install)


def why_no_node() -> str:
    """What keeps the npm rivals from running here; empty when nothing does."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "node and npm are not installed (apt-get install nodejs npm)"
    version = node_version()
    if tuple(map(int, version.lstrip("v").split(".")[:2])) < OLDEST_NODE:
        return f"node {version} is too old for Node-RED: {'.'.join(map(str, OLDEST_NODE))} or newer is needed"
    return ""


def node_version() -> str:
    """As node prints it: v20.1.0, say."""
    return subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def versions(python: Path, npm: Path | None) -> dict[str, str]:
    """The versions of what the rivals run on."""
    found = {f"rivals: {one.name}": one.version for one in distributions(path=[str(python)])}
    if npm is not None:
        packages = json.loads((npm / "package-lock.json").read_text())["packages"]
        wanted = packages[""]["dependencies"]
        found |= {f"rivals: {name}": packages[f"node_modules/{name}"]["version"] for name in wanted}
        found["rivals: node"] = node_version()
    return dict(sorted(found.items()))


def _once(name: str, files: tuple[Path, ...] | list[Path], install: Callable[[Path], None]) -> Path:
    """A directory named after the content of `files`; one whose installation was interrupted is never taken for whole."""
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    target = PLACE / f"{name}-{digest}"
    if not target.exists():
        print(f"rivals: installing the {name} packages into {target} (once)", file=sys.stderr)
        unfinished = target.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        install(unfinished)
        unfinished.rename(target)
    return target

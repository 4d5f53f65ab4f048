"""scripts/audit: findings are told, and only `make audit` fails on them; a source that is away never holds `make check` up."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FINE = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "c", "version": "1", "skip_reason": "not found"}


def audit(bin_dir: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """With a program in place of pip-audit, whose answers come from the network."""
    program = bin_dir / "pip-audit"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return subprocess.run(
        [sys.executable, ROOT / "scripts/audit", bin_dir, *arguments], cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=30, env={"PATH": "/usr/bin:/bin", "AUDIT_SECONDS": "1"},
    )  # fmt: skip


def answering(*packages: object) -> str:
    return f"cat <<'END'\n{json.dumps({'dependencies': packages})}\nEND"


@pytest.mark.parametrize(
    ("script", "strict", "says"),
    [
        (answering(FINE), 0, "0 known vulnerabilities in 1 packages"),
        (answering(FINE, BAD), 1, "b 2: CVE-1, mended in 3"),
        (answering(FINE, UNKNOWN), 0, "nothing to be had about 1"),
        (answering(UNKNOWN), 1, "NOT audited"),
        ("echo no network >&2; exit 1", 1, "NOT audited"),
        ("exec sleep 20", 1, "NOT audited"),
    ],
)
def test_what_is_said_and_when_it_fails(tmp_path: Path, script: str, strict: int, says: str) -> None:
    told = audit(tmp_path, script)
    assert (told.returncode, told.stderr) == (0, "")
    assert says in told.stdout
    assert audit(tmp_path, script, "--strict").returncode == strict

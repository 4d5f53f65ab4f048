"""SIGUSR1: stacks and a profile, while the service goes on."""

import asyncio
import os
import pstats
import signal
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway_harness import Gateway, eventually
from joulegate_cli.profiling import Profiler
from process_harness import launching


async def work_for_the_profile() -> None:
    await asyncio.sleep(0.01)


async def test_a_profile_holds_what_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    profiler = Profiler(seconds=0.3)
    with capture_logs() as logs:
        profiler.begin()
        profiler.begin()  # one is made already
        await work_for_the_profile()
        await eventually(lambda: _true("profile_made" in [line["event"] for line in logs]))
        profiler.begin()  # and another one, once it is
        await eventually(lambda: _true([line["event"] for line in logs].count("profile_made") == 2))
    (first, _) = [line["profile"] for line in logs if line["event"] == "profile_made"]
    names = {name for _, _, name in pstats.Stats(first).stats}  # type: ignore[attr-defined]
    assert "work_for_the_profile" in names
    stacks = Path(first).with_suffix(".stacks")
    assert "test_a_profile_holds_what_ran" in stacks.read_text()
    assert stacks.parent.stat().st_mode & 0o077 == 0


async def _true(condition: bool) -> bool:  # noqa: FBT001
    return condition


async def test_a_service_goes_on_after_the_signal(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "TMPDIR", str(tmp_path))
    async with launching(gateway, tmp_path) as launch:
        process = await launch()
        await gateway.wait_ready()
        process.send(signal.SIGUSR1)
        await eventually(lambda: _true("profile_begun" in [event["event"] for event in process.events()]))
        await gateway.wait_ready()
        process.send(signal.SIGTERM)
        code, _ = await process.end()
        assert code == 0
    (begun,) = [event for event in process.events() if event["event"] == "profile_begun"]
    assert "pipeline" in Path(begun["stacks"]).read_text()

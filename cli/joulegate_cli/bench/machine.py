"""What a figure was measured on: figures mean nothing without it."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

from joulegate_cli.local.broker import find_mosquitto
from joulegate_cli.local.postgres import embedded_bin_dir

PACKAGES = ("joulegate", "aiomqtt", "mqtt5", "asyncpg", "msgspec", "uvloop", "uvicorn", "starlette")

IDLE_SECONDS = 1.0
"""So long the load of others is looked at before a bench begins."""


def machine_facts() -> dict[str, str]:
    """Processor, cores, memory, kernel, the versions of everything that takes part, and what others do on the machine."""
    others = psutil.cpu_percent(interval=IDLE_SECONDS) / 100 * (os.cpu_count() or 1)
    return {
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "cores busy before": f"{others:.1f}",
        "python": platform.python_version(),
        "postgresql": _first_line(str(embedded_bin_dir() / "postgres"), "--version"),
        "broker": _first_line(find_mosquitto() or "", "-h"),
        **{name: version(name) for name in PACKAGES},
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _first_line(program: str, option: str) -> str:
    if not program:
        return "rumqttd (iotcore " + version("iotcore") + ")"
    done = subprocess.run([program, option], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0]

"""Which plots there are, and from which records their points come."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from figures.svg import Line, plot

BENCH = Path(__file__).parent.parent

US = "us a message"


def plots() -> Iterator[tuple[str, str]]:
    """The names and the contents of the SVGs that the records allow."""
    curves = json.loads((BENCH / "curves.json").read_text())["curves"] if (BENCH / "curves.json").exists() else {}
    for name, title, axis in (
        ("devices", "CPU a message against the number of devices", "devices"),
        ("batch", "CPU a message against the size of batches", "messages in a batch, at most"),
        ("gateways", "CPU a message against gateways on two cores", "gateways"),
    ):
        if name in curves:
            yield name, plot(f"{title}, {US}", axis, _costs(curves[name]))
    for name, title in (("batch", "size of batches"), ("gateways", "gateways on two cores"), ("devices", "devices")):
        if name in curves:
            line = Line("committed and acknowledged", _line(curves[name], "readings_per_second"))
            yield f"{name}-rate", plot(f"Readings a second against {title}", title, [line])
    if "history" in curves:
        lines = [Line("shared buffers a request", _line(curves["history"], "pages"))]
        yield "history", plot("Pages that an answer about 24 h reads against the history", "days of history", lines)
    yield "roll", _roll()


def _costs(points: list[dict[str, Any]]) -> list[Line]:
    return [
        Line("gateway", _line(points, "gateway_cpu_us")),
        Line("database", _line(points, "database_cpu_us")),
        Line("bare receive loop", _line(points, "bare_loop_cpu_us")),
    ]


def _line(points: list[dict[str, Any]], name: str) -> list[tuple[float, float]]:
    return [(point["x"], point[name]) for point in points]


def _roll() -> str:
    cases = json.loads((BENCH / "roll.json").read_text())["cases"].values()
    points = [
        (case["runs"][0]["devices"], case["medians"]["us_a_device"])
        for case in cases
        if "us_a_device" in case["medians"]
    ]
    return plot("Closing a quarter of an hour, us a device", "devices", [Line("closed and rolled", points)])

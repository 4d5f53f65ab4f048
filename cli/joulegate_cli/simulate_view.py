"""What `joulegate simulate` shows while it runs, and the summary at its end."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

    from joulegate_simulator.runner import SimulationOptions, SimulationProgress


@contextlib.contextmanager
def live_view(options: "SimulationOptions", *, shown: bool) -> "Iterator[Callable[[SimulationProgress], None]]":
    """A view on standard error that is kept up to date; nothing when it is not to be shown."""
    if not shown:
        yield lambda _progress: None
        return
    from rich.console import Console
    from rich.live import Live

    with Live("connecting", console=Console(stderr=True), refresh_per_second=4, transient=True) as live:
        view = _View(options)
        yield lambda progress: live.update(view.render(progress))


class _View:
    """The rate is that of the last seconds, not since the start: it shows what a switch of a fault does."""

    def __init__(self, options: "SimulationOptions") -> None:
        self._options = options
        self._before: tuple[float, int] = (0.0, 0)
        self._rate = 0.0

    def render(self, progress: "SimulationProgress") -> "RenderableType":
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        counts = progress.counts
        seconds = progress.elapsed_seconds - self._before[0]
        if seconds >= 1.0:
            self._rate = (counts.published - self._before[1]) / seconds
            self._before = (progress.elapsed_seconds, counts.published)
        table = Table.grid(padding=(0, 2))
        rows = {
            "scenario": f"{self._options.scenario}, {progress.meters:,} meters, {progress.vehicles:,} vehicles",
            "published": f"{counts.published:,} readings, {self._rate:,.0f}/s",
            "acknowledged": f"{counts.acknowledged:,}, in flight {counts.pending:,}" + _trouble(progress),
            "charging": f"{progress.charging:,} of {progress.vehicles:,} vehicles",
            "faults on": ", ".join(f"{name} {number:,}" for name, number in sorted(progress.faults.items())) or "none",
        }
        if self._options.starts_ago_seconds:
            rows["simulated"] = f"{datetime.fromtimestamp(progress.simulated_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
        for name, text in rows.items():
            table.add_row(name, text)
        if progress.simulated_share is None:
            return table
        return Group(table, ProgressBar(total=1.0, completed=progress.simulated_share, width=60))


def summary(progress: "SimulationProgress") -> str:
    """One line: what was simulated, and what became of it."""
    counts = progress.counts
    rate = counts.published / max(progress.elapsed_seconds, 1e-3)
    parts = f"{counts.published:,} readings published"
    if counts.acknowledged:
        parts += f", {counts.acknowledged:,} acknowledged"
    if counts.pending:
        parts += f", {counts.pending:,} not yet acknowledged"
    return (
        f"simulated {progress.meters:,} meters and {progress.vehicles:,} vehicles for {progress.elapsed_seconds:.1f} s: "
        f"{parts}{_trouble(progress)}, {rate:,.1f}/s"
    )


def _trouble(progress: "SimulationProgress") -> str:
    counts = progress.counts
    text = ""
    if counts.refused:
        text += f", {counts.refused:,} refused ({counts.refusal})"
    if counts.reconnects:
        text += f", {counts.reconnects:,} reconnections"
    if progress.behind_seconds >= 1:
        text += f", {progress.behind_seconds:.0f} s behind"
    return text

"""`joulegate bench check`: every bench at a size that takes a minute or two together, held to `limits`."""

from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec

from joulegate_cli.bench.ingest import bench_ingest
from joulegate_cli.bench.limits import Limit, limits_of
from joulegate_cli.bench.query import Fleet, bench_query
from joulegate_cli.bench.report import Progress, Results, figures, number
from joulegate_cli.bench.roll import bench_roll
from joulegate_cli.bench.storage import bench_storage
from joulegate_cli.tables import print_table


class Checked(msgspec.Struct, frozen=True):
    """A figure beside its limit."""

    case: str
    title: str
    value: float
    limit: Limit

    @property
    def is_kept(self) -> bool:
        """Whether the figure is within the limit."""
        return self.limit.is_kept(self.value)


def small_runs(progress: Progress) -> Results:
    """Every bench that has limits, small."""
    return chain(
        bench_ingest(100_000, 10_000, progress),
        bench_query(Fleet(pairs=100, days=(3, 10), fleet_pairs=0), 3, progress),
        bench_roll([4000, 20_000], progress),
        bench_storage(100, progress),
    )


def check(results: Results) -> Iterator[Checked]:
    """Every figure that has a limit."""
    for case, result in results:
        titles = figures(type(result))
        for limit in limits_of(result):
            yield Checked(case, titles[limit.figure].title.strip(), getattr(result, limit.figure), limit)


def show_checked(checked: Iterable[Checked]) -> bool:
    """Prints the figures with their limits and reasons; False when one is broken."""
    found = list(checked)
    print_table(("case", "figure", "value", "limit", "", "why there"), [_row(one) for one in found], "")
    broken = [one for one in found if not one.is_kept]
    print(f"{len(broken)} of {len(found)} limits are broken" if broken else f"all {len(found)} limits are kept")
    return not broken


def _row(one: Checked) -> tuple[str, ...]:
    limit = f">= {one.limit.least:g}" if one.limit.least is not None else f"<= {one.limit.most:g}"
    return one.case, one.title, number(one.value), limit, "kept" if one.is_kept else "BROKEN", one.limit.reason

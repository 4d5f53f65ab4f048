"""`joulegate bench mixed`: a backlog drained with and without questions, questions with and without a backlog being drained."""

import asyncio
from functools import partial
from typing import Annotated

import msgspec

from joulegate_cli.bench.asking import FIRST_CORE, answers, ask, start_asking
from joulegate_cli.bench.child import Service, http_child
from joulegate_cli.bench.http_load import Answers
from joulegate_cli.bench.ingest import Drained, drain, fill_backlog, require_all
from joulegate_cli.bench.plain_copy import rows_in_history
from joulegate_cli.bench.query import CLIENTS, last_day
from joulegate_cli.bench.report import Figure, Progress, Results
from joulegate_cli.bench.seed import Past, seed
from joulegate_cli.bench.servers import Servers, bench_servers
from joulegate_core.clock import utc_now

DATABASE = "mixed"
DAYS = 2
LONGEST_SECONDS = 600


class Mix(msgspec.Struct, frozen=True):
    """A backlog, and questions about `pairs` vehicles that are not in it, at `rate` a second (0: each client at once again)."""

    messages: int
    devices: int
    pairs: int
    rate: float


class MixedResult(msgspec.Struct, frozen=True, rename="camel"):
    """One run. Delays in ms."""

    messages: int
    pairs: int
    committed: int
    drained_alone: Annotated[float, Figure("backlog alone, readings/s")]
    drained_mixed: Annotated[float, Figure("backlog beside 16 clients, readings/s")]
    drained_ratio: Annotated[float, Figure("  beside / alone")]
    asked_alone: Annotated[float, Figure("16 clients alone, requests/s")]
    asked_mixed: Annotated[float, Figure("16 clients beside the backlog, requests/s")]
    asked_ratio: Annotated[float, Figure("  beside / alone")]
    p50_alone: Annotated[float, Figure("16 clients alone: median, ms")]
    p50_mixed: Annotated[float, Figure("16 clients beside the backlog: median, ms")]
    p99_alone: Annotated[float, Figure("16 clients alone: p99, ms")]
    p99_mixed: Annotated[float, Figure("16 clients beside the backlog: p99, ms")]
    p99_ratio: Annotated[float, Figure("  beside / alone")]


def bench_mixed(mix: Mix, seconds: float, progress: Progress) -> Results:
    """One run on servers of its own.

    Raises:
        JoulegateError: a part failed, an answer was not 200, or a reading is lost or doubled.
    """
    past = Past(mix.pairs, DAYS, utc_now())
    with bench_servers() as servers:
        url = servers.create_database(DATABASE)
        asyncio.run(seed(url, past, partial(progress, "seed")))
        before = rows_in_history(url)
        with http_child(servers.environ(DATABASE), servers.directory / "http.log") as http:
            http.pin({FIRST_CORE})
            asked = ask(http, last_day(past), clients=CLIENTS, seconds=seconds, devices=mix.pairs, rate=mix.rate)
            alone = _drain(servers, "alone", mix, 2 * mix.pairs, progress)
            beside, mixed = _both(servers, http, past, mix, progress)
        committed = rows_in_history(url) - before
    require_all(committed, 2 * mix.messages)
    yield _case(mix), _result(mix, committed, (alone, beside), (asked, mixed))


def _case(mix: Mix) -> str:
    load = f"{mix.rate:,g} requests/s" if mix.rate else "as fast as they are answered"
    return f"16 clients, {load}, beside a backlog of {mix.messages:,}"


def _drain(servers: Servers, client_id: str, mix: Mix, first_slot: int, progress: Progress) -> Drained:
    fill_backlog(servers, client_id, mix.messages, mix.devices, progress, first_slot=first_slot)
    return drain(servers, client_id, mix.messages, progress, DATABASE)


def _both(servers: Servers, http: Service, past: Past, mix: Mix, progress: Progress) -> tuple[Drained, Answers]:
    """The second backlog is of other devices again: new to the database, as those of the first were."""
    first_slot = 2 * mix.pairs + mix.devices // 2 * 2
    fill_backlog(servers, "beside", mix.messages, mix.devices, progress, first_slot=first_slot)
    asking = start_asking(
        http, last_day(past), clients=CLIENTS, seconds=LONGEST_SECONDS, devices=mix.pairs, rate=mix.rate
    )
    try:
        drained = drain(servers, "beside", mix.messages, progress, DATABASE)
        asking.finish()
        return drained, answers(asking, LONGEST_SECONDS)
    finally:
        asking.stop()


def _result(mix: Mix, committed: int, drained: tuple[Drained, Drained], asked: tuple[Answers, Answers]) -> MixedResult:
    (alone, beside), (quiet, busy) = drained, asked
    return MixedResult(
        messages=mix.messages,
        pairs=mix.pairs,
        committed=committed,
        drained_alone=alone.readings_per_second,
        drained_mixed=beside.readings_per_second,
        drained_ratio=beside.readings_per_second / alone.readings_per_second,
        asked_alone=quiet.per_second,
        asked_mixed=busy.per_second,
        asked_ratio=busy.per_second / quiet.per_second,
        p50_alone=quiet.p50,
        p50_mixed=busy.p50,
        p99_alone=quiet.p99,
        p99_mixed=busy.p99,
        p99_ratio=busy.p99 / quiet.p99,
    )

"""A short cut of `make rivals`: the harness is right about one that loses, one that doubles nothing and one that does neither."""

from collections.abc import Iterator

import pytest

from joulegate_cli.bench.servers import Servers, bench_servers
from joulegate_cli.local.broker import find_mosquitto
from rivals.catalogue import RIVALS, Rival
from rivals.drained import drain
from rivals.killed import kill_and_count
from rivals.load import Backlog, Pace
from rivals.stand import stand

pytestmark = pytest.mark.slow

BY_NAME = {rival.name: rival for rival in RIVALS}


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """One broker and one database server for all rivals, as in a run."""
    if find_mosquitto() is None:
        pytest.skip("rivals need mosquitto: the built-in broker keeps no sessions")
    with bench_servers() as started:
        yield started


def test_a_rival_is_measured(servers: Servers) -> None:
    with stand(BY_NAME["batches"], servers, "measured") as place:
        drained = drain(place, 3000)
        assert place.kept().readings == place.rows() > 0
    assert drained.per_second > 0
    assert drained.rival_cpu_us > 0
    assert drained.peak_mb > 10


def ledger_of(rival: Rival, servers: Servers, messages: int) -> tuple[int, int]:
    """Lost and doubled, after a kill -9 in a backlog."""
    with stand(rival, servers, f"killed-{rival.name}") as place:
        ledger = kill_and_count(place, Backlog(place, messages), kills=1)
    assert ledger.acknowledged == messages
    return ledger.lost, ledger.doubled


def test_who_acknowledges_on_arrival_loses(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rivals.killed.QUIET_SECONDS", 4.0)  # Python starts faster than Node-RED
    lost, doubled = ledger_of(BY_NAME["aiomqtt"], servers, 1000)
    assert lost > 0
    assert doubled == 0


def test_who_acknowledges_after_the_insert_loses_nothing(servers: Servers) -> None:
    lost, doubled = ledger_of(BY_NAME["paho"], servers, 400)
    assert lost == 0
    assert doubled <= 20  # what was stored and not acknowledged yet, as it happens


def test_joulegate_neither_loses_nor_doubles(servers: Servers) -> None:
    with stand(BY_NAME["joulegate"], servers, "paced") as place:
        ledger = kill_and_count(place, Pace(place, 400), kills=2)
    assert (ledger.acknowledged, ledger.lost, ledger.doubled) == (400, 0, 0)

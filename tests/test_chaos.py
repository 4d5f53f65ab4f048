"""A short cut of `make chaos`: faults under load, and the publishers' ledger against the database row by row."""

import random
from pathlib import Path

import pytest

from chaos.scenario import SCENARIOS, perform
from chaos.scenarios import load_all
from chaos.stand import Stand, make_template, open_stand, under_load
from chaos.verdict import judge
from joulegate_cli.local.broker import find_mosquitto

load_all()

SHORT = ("gateway-killed", "database-killed", "redelivered", "gateways-come-and-go", "forms-changed")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory to be copied for each stand."""
    if find_mosquitto() is None:
        pytest.skip("chaos needs mosquitto: the built-in broker keeps no sessions")
    return make_template(tmp_path_factory.mktemp("chaos") / "template")


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
async def test_nothing_is_lost_and_nothing_doubled(
    name: str, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chaos.scenarios.gateway.KILLS", 6)
    outcome = await perform(SCENARIOS[name], tmp_path / name, template, seed=7)
    assert outcome.failures == []
    assert outcome.verdict is not None
    assert outcome.verdict.acknowledged > 500
    assert sum(outcome.faults.values()) >= 3


TAMPERED = """
delete from vehicle_history where kwh = 1;
insert into meter_history
    select ts - interval '1 ms', kwh, voltage, late, device, charge_point from meter_history where kwh = 2;
update meter_history set voltage = 1 where kwh = 4;
delete from meter_live where device = 'm-5';
delete from presence where device = 'm-6';
insert into quarantine (first_seen, last_seen, topic, payload, reason, detail, digest)
    values (now(), now(), 't', '{"n":8}', 'x', 'x', 'x');
"""
"""One reading is lost, one doubled under another time, one changed, one in the wrong place; a newest state and a presence are hidden."""


async def test_the_verdict_sees_what_is_wrong(template: Path, tmp_path: Path) -> None:
    async with open_stand(tmp_path / "stand", template, random.Random(1)) as stand:
        await publish_some(stand)
        assert (await judge(stand)).faults == {}
        async with stand.database() as db:
            await db.execute(TAMPERED)
        faults = (await judge(stand)).faults
    assert faults == {"lost": 1, "doubled": 2, "garbled": 2, "misplaced": 1, "stale_live": 1, "wrong_presence": 1}


async def publish_some(stand: Stand) -> None:
    """A little load without any fault."""
    async with under_load(stand):
        await stand.subscribed()
        await stand.load(1)

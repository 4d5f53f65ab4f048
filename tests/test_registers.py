"""The energy of register readings: the worked examples of docs/energy.md, and computing from anywhere in between."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulegate_db.registers import Counter, Energy, Limits, energies

BASE = datetime(2026, 5, 1, 10, tzinfo=UTC)
LIMITS = Limits(max_kw=120, look_back=timedelta(days=8))
DOCS = (Path(__file__).parent.parent / "docs" / "energy.md").read_text()


def counters(published: str) -> list[Counter]:
    """Readings a minute apart; `(ten minutes nothing)` is a gap."""
    minute, found = 0, []
    for item in published.split(", "):
        if item == "(ten minutes nothing)":
            minute += 9
        else:
            found.append(Counter(BASE + timedelta(minutes=minute), float(item)))
            minute += 1
    return found


WORKED = re.findall(r"^\| (1000, [^|]+?) \| ([^|]+?) \| ", DOCS, re.MULTILINE)


def test_the_documentation_has_its_examples() -> None:
    assert len(WORKED) == 7


@pytest.mark.parametrize(("published", "worth"), WORKED)
def test_worked_examples(published: str, worth: str) -> None:
    found = [energy.kwh for energy, _ in energies(counters(published), None, None, LIMITS)]
    assert found == pytest.approx([float(item) for item in worth.split(", ")])


def test_exactly_the_cap_fits_and_a_little_more_is_a_jump() -> None:
    for step, outcome in ((2.0, "difference"), (2.001, "jump")):
        readings = [Counter(BASE + timedelta(minutes=n), 5 + step * n) for n in range(3)]
        assert [energy.outcome for energy, _ in energies(readings, None, None, LIMITS)][1] == outcome


def test_a_baseline_beyond_the_look_back_is_none() -> None:
    for age, outcome in ((timedelta(days=8), "recovered"), (timedelta(days=8, microseconds=1), "first")):
        readings = [Counter(BASE - age, 1.0), Counter(BASE, 2.0)]
        assert [energy.outcome for energy, _ in energies(readings, None, None, LIMITS)][1] == outcome


@given(
    values=st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, 3.5, 100.0, 101.0, 102.0]), min_size=1, max_size=12),
    cut=st.integers(0, 12),
)
def test_a_computation_can_begin_wherever_the_last_accepted_reading_is_known(values: list[float], cut: int) -> None:
    readings = [Counter(BASE + timedelta(minutes=n), value) for n, value in enumerate(values)]
    whole = list(energies(readings, None, None, LIMITS))
    cut = min(cut, len(readings) - 1)
    again: list[Energy] = [energy for energy, _ in energies(readings[cut:], whole[cut][1], None, LIMITS)]
    assert again == [energy for energy, _ in whole[cut:]]
    before = [energy for energy, _ in energies(readings[:cut], None, readings[cut], LIMITS)]
    assert before == [energy for energy, _ in whole[:cut]]

"""The decoder against bench/fuzz's second reading of the message contract: the short cut of `make fuzz`."""

from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import fuzz
from decoder_harness import METER_TOPIC, NOW, VEHICLE_TOPIC, with_ignored, with_raw
from fuzz.compare import NOW as FUZZ_NOW
from fuzz.compare import Comparison
from fuzz.edits import edited
from fuzz.messages import message
from fuzz.odd import BROKEN, NAMES, NUMBERS, TIMES, TOPICS, VALUES
from fuzz.oracle import Accepted, Refused, judge
from gateway_harness import meter, vehicle
from joulegate_core.reasons import Reason

COMPARISON = Comparison()
SEEDS = sorted((Path(fuzz.__file__).parent / "corpus").iterdir())
FIELDS = [*dict.fromkeys([*meter(), *vehicle()])]
ODD = [*NUMBERS, *VALUES, *BROKEN, *(b'"%s"' % time.replace("\0", "\\u0000").encode() for time in TIMES)]


@given(st.randoms(use_true_random=False), st.integers(0, 3))
@settings(
    max_examples=500, phases=[Phase.generate], derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)
def test_decoder_and_oracle_agree_on_what_anyone_may_send(random: Random, edits: int) -> None:
    topic, payload = message(random)
    for _ in range(edits):
        topic, payload = edited(random, topic, payload)
    assert COMPARISON.check(topic, payload) is None


def test_decoder_and_oracle_agree_at_length() -> None:
    random = Random(1)
    comparison = Comparison()
    for _ in range(10_000):
        topic, payload = edited(random, *message(random))
        assert comparison.check(topic, payload) is None, (topic, payload)
    assert comparison.outcomes.keys() == {"accepted", *Reason} - {
        Reason.CONFLICT,
        Reason.DATABASE_REFUSED,
        Reason.WRONG_PLACE,
    }
    assert comparison.outcomes["accepted"] > 2000
    assert comparison.outcomes["bad_json"] < 5000


@pytest.mark.parametrize("field", FIELDS)
def test_decoder_and_oracle_agree_on_every_odd_value_of_a_field(field: str) -> None:
    for value in ODD:
        for topic in (METER_TOPIC, VEHICLE_TOPIC):
            assert COMPARISON.check(topic, with_raw(field, value)) is None, value


def test_decoder_and_oracle_agree_on_odd_names_topics_and_what_is_ignored() -> None:
    valid = with_ignored(b"1")
    for payload in (valid, b"", *map(with_ignored, ODD), *(valid.replace(b'"meterId"', name) for name in NAMES)):
        for topic in TOPICS:
            assert COMPARISON.check(topic, payload) is None, (topic, payload)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_decoder_and_oracle_agree_on_the_seeds(seed: Path) -> None:
    topic, _, payload = seed.read_bytes().partition(b"\n")
    assert COMPARISON.check(topic.decode(), payload) is None


def test_a_seed_that_is_named_for_a_reason_is_refused_with_it() -> None:
    named = {seed.name.replace("-", "_"): seed.read_bytes().split(b"\n", 1) for seed in SEEDS}
    reasons = [reason for reason in Reason if reason in named]
    assert len(reasons) >= 10
    for reason in reasons:
        topic, payload = named[reason]
        assert judge(topic.decode(), payload, FUZZ_NOW) == Refused(frozenset({reason}))


def test_what_the_oracle_says_of_a_reading() -> None:
    assert NOW == FUZZ_NOW
    payload = b'{"vehicleId": "v-1", "soc": 1, "kwhDeliveredDc": 2e0, "batteryTemp": -3.5, "timestamp": "2026-06-15T13:54:59+02:00"}'
    ts = NOW - timedelta(seconds=301)
    expected = {
        "device": "v-1",
        "chargePoint": "cp-1",
        "ts": ts,
        "late": True,
        "soc": 1.0,
        "kwhDeliveredDc": 2.0,
        "batteryTemp": -3.5,
    }
    assert judge(VEHICLE_TOPIC, payload, NOW) == Accepted(expected)
    assert judge(METER_TOPIC, payload, NOW) == Refused(frozenset({"stream_mismatch"}))
    two_faults = payload.replace(b"v-1", b"v 1").replace(b"-3.5", b"-99")
    assert judge(VEHICLE_TOPIC, two_faults, NOW) == Refused(frozenset({"bad_id", "out_of_range"}))

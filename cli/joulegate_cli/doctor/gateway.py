"""Asks a gateway's own port: is it ready, which version is it, what waits?"""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.metadata import version

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from joulegate_cli.doctor.broker import QUEUE_TOO_SMALL
from joulegate_cli.doctor.finding import Finding, critical, note, ok, warning

SECONDS = 3.0
LAG_SECONDS = 5.0
PENDING_MANY = 5000


class GatewayFacts(msgspec.Struct, frozen=True):
    """What it told. `missing`: why it is not ready; `samples`: metrics without labels, and sums of those with labels."""

    missing: list[str]
    version: str
    samples: dict[str, float]


def ask_gateway(url: str) -> GatewayFacts | None:
    """None when nothing answers there as a gateway does. `url`: without a path."""
    try:
        missing = _missing(url)
        text = _get(f"{url}/metrics")
        samples: dict[str, float] = {}
        release = ""
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples[sample.name] = samples.get(sample.name, 0.0) + sample.value
                release = sample.labels.get("version", release) if sample.name == "joulegate_build_info" else release
    except (OSError, ValueError, KeyError):
        return None
    return GatewayFacts(missing, release, samples) if "joulegate_messages_pending" in samples else None


def _missing(url: str) -> list[str]:
    try:
        _get(f"{url}/readyz")
    except urllib.error.HTTPError as error:
        return [str(each) for each in json.loads(error.read())["missing"]]
    return []


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 - the operator's own address
        return str(answer.read().decode())


def judge_gateway(facts: GatewayFacts | None, url: str) -> Iterator[Finding]:
    """Readiness, version, lag."""
    if facts is None:
        text = f"no gateway answers at {url}"
        yield warning(
            "gateway", text, "start it; if it runs elsewhere, name its metrics address: --gateway http://HOST:9464"
        )
        return
    ours = version("joulegate")
    if facts.missing:
        yield critical(
            "gateway", f"not ready: {'; '.join(facts.missing)}", "mend what is missing: readings wait at the broker"
        )
    elif facts.version != ours:
        yield warning(
            "versions",
            f"the gateway is {facts.version or 'older'}, this command is {ours}",
            "bring both to one version",
        )
    pending, lag = facts.samples["joulegate_messages_pending"], facts.samples.get("joulegate_lag_seconds", 0)
    held = facts.samples.get("joulegate_database_failures_total", 0)
    text = (
        f"version {facts.version}, {pending:,.0f} pending, lag {lag:.2g} s, {held:,.0f} failed commits since its start"
    )
    if lag > LAG_SECONDS or pending > PENDING_MANY:
        yield warning(
            "gateway", text, "a backlog that drains is no fault; else the database is slow: its disk, its locks"
        )
    elif not facts.missing:
        yield ok("gateway", text)
    lost = facts.samples.get("joulegate_sessions_lost_total", 0)
    if lost:
        yield note(
            "gateway",
            f"{lost:,.0f} sessions were lost at the broker since its start",
            "docs/observability.md, JoulegateSessionLost",
        )
    dropped = facts.samples.get("joulegate_broker_dropped_messages", 0)
    if dropped:  # the broker itself may have forgotten: mosquitto tells of a change for a minute
        text = (
            f"{dropped:,.0f} messages were acknowledged and dropped since the broker's start, by what the gateway heard"
        )
        yield critical("broker losses", text, QUEUE_TOO_SMALL)

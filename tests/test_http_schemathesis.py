"""Schemathesis against a running sidecar that has data and asks for tokens: what the document promises is tried, and what it forbids.

The program runs beside the test, as a user would run it, with a fixed seed; its own report is the test's message. Besides what is said
in the configuration all of its checks hold, for valid and for invalid requests, one by one and in sequences.
"""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from http_service_support import sidecar
from http_support import at
from openapi_support import SEEDED_UNTIL, seed
from quarantine_support import refuse

CONFIGURATION = """
seed = 1
color = false
wait-for-schema = 10.0
request-timeout = 30.0
continue-on-failure = true
workers = 1
headers = {{ Authorization = "Bearer {token}" }}

[generation]
max-examples = 15
no-shrink = true
database = "none"

[phases.coverage]
generate-duplicate-query-parameters = true
unexpected-methods = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "QUERY"]

# Two times that are valid each may make a window that is empty or too long, and not every time is in the calendar of readings.
[[operations]]
include-path-regex = "analytics|links$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404", "409"]

# A stream has no end: test_stream reads it.
[[operations]]
include-path = "/v1/stream"
enabled = false

[warnings]
fail-on = ["missing_test_data", "missing_deserializer", "method_not_allowed", "unsupported_regex", "dictionary_mismatch"]

[dictionaries]
vehicles.values = ["v-1", "v-2"]
meters.values = ["m-1", "m-2"]
beginnings.values = ["{beginning}"]
ends.values = ["{end}"]
messages.values = [1]

[parameters]
vehicleId = {{ dictionary = "vehicles", probability = 0.7 }}
quarantineId = {{ dictionary = "messages", probability = 0.7 }}
meterId = {{ dictionary = "meters", probability = 0.7 }}
from = {{ dictionary = "beginnings", probability = 0.7 }}
to = {{ dictionary = "ends", probability = 0.7 }}
"""

TOKEN = "a-token-that-may-operate"

LINKS = 30
"""Sequences begin with lists: these are there to be looked at, deleted and looked for again."""


@pytest.mark.slow
async def test_a_sidecar_keeps_to_its_document(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await seed(database_url)
    assert await refuse(database_url) == 1  # no reading by any rule: it stays, however often it is tried
    beginning, end = at(0).isoformat(), at(SEEDED_UNTIL).isoformat()
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION.format(beginning=beginning, end=end, token=TOKEN))
    with capture_logs() as logs:
        settings = {"JOULEGATE_API_TOKENS": TOKEN, "JOULEGATE_RATE_LIMIT": "0"}
        async with sidecar(database_url, now=at(SEEDED_UNTIL), **settings) as client:
            client.headers["Authorization"] = f"Bearer {TOKEN}"
            for number in range(LINKS):
                body = {"vehicleId": "v-1", "meterId": f"m-{10 + number}", "validFrom": beginning}
                assert (await client.put("/v1/links", json=body)).status_code == 201
            code, report = await run(tmp_path, f"{client.base_url}/openapi.json")
    assert code == 0, report
    assert "request_failed" not in {entry["event"] for entry in logs}
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def run(directory: Path, url: str) -> tuple[int, str]:
    """Runs the program to its end: exit code and report."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run", url),
        cwd=directory,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(180):
            output, _ = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    assert running.returncode is not None
    return running.returncode, output.decode()

"""The rivals: how each is started, how its messages reach it, and where it stores them."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from joulegate_cli.bench.child import COMMAND
from joulegate_cli.bench.servers import Servers
from rivals.install import npm_packages, python_packages

PROGRAMS = Path(__file__).parent / "programs"
PLAIN_TABLES = ("readings_meter", "readings_vehicle")


class Rival(msgspec.Struct, frozen=True):
    """A way to bring messages into the database.

    Attributes:
        program: in `programs/`; empty for joulegate itself.
        backlog: so many messages take it some seconds.
        takes_http: messages are posted to it; otherwise it subscribes, and a backlog can wait for it at the broker.
        tables: where it stores, meters first.
    """

    name: str
    title: str
    program: str
    backlog: int
    takes_http: bool = False
    tables: tuple[str, str] = PLAIN_TABLES

    @property
    def needs_node(self) -> bool:
        """Whether it runs on Node.js."""
        return not self.program.endswith(".py") and bool(self.program)

    @property
    def is_joulegate(self) -> bool:
        """Whether it is what the others are measured beside."""
        return not self.program


RIVALS = (
    Rival("paho", "paho 2, one INSERT a message", "one_insert_paho.py", 20_000),
    Rival("aiomqtt", "aiomqtt 2, one INSERT a message", "one_insert_aiomqtt.py", 20_000),
    Rival("batches", "aiomqtt 2, executemany every 100 ms", "batches_aiomqtt.py", 60_000),
    Rival("express", "Express over HTTP, one INSERT a request", "express.cjs", 20_000, takes_http=True),
    Rival("node-red", "Node-RED flow, one INSERT a message", "node-red.cjs", 20_000),
    Rival("joulegate", "joulegate", "", 500_000, tables=("meter_history", "vehicle_history")),
)


def command(rival: Rival) -> Sequence[str]:
    """What starts it."""
    if rival.is_joulegate:
        return [*COMMAND, "gateway"]
    return ["node" if rival.needs_node else sys.executable, str(PROGRAMS / rival.program)]


def environ(rival: Rival, servers: Servers, database: str, client_id: str, port: int, home: Path) -> Mapping[str, str]:
    """What it is told. `port`: where it may listen; `home`: a directory for its files."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOULEGATE_")}
    if rival.is_joulegate:
        own = {"JOULEGATE_CLIENT_ID": client_id, "JOULEGATE_METRICS_PORT": str(port)}
        return kept | servers.environ(database) | own
    return kept | {
        "PYTHONPATH": str(python_packages()),
        "NODE_PATH": str(npm_packages() / "node_modules") if rival.needs_node else "",
        "NODE_ENV": "production",
        "RIVAL_BROKER_PORT": str(servers.broker.port),
        "RIVAL_CLIENT_ID": client_id,
        "RIVAL_DATABASE_URL": servers.postgres.url(database),
        "RIVAL_DATABASE_HOST": str(servers.directory / "postgres"),
        "RIVAL_DATABASE": database,
        "RIVAL_DATABASE_USER": "joulegate",
        "RIVAL_HTTP_PORT": str(port),
        "RIVAL_HOME": str(home),
    }

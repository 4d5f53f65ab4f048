"""`joulegate doctor`: findings as a table or as JSON, and an exit code for monitors."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from joulegate_cli.doctor.finding import Finding

CONF_HELP = "The broker's mosquitto.conf, to hear how long an outage its queue survives."
GATEWAY_HELP = (
    "Where the gateway's /metrics are, such as http://HOST:9464; `none` to leave it out. [default: from the settings]"
)


def doctor(
    *,
    mosquitto_conf: Annotated[
        Path | None, typer.Option("--mosquitto-conf", metavar="FILE", exists=True, dir_okay=False, help=CONF_HELP)
    ] = None,
    gateway: Annotated[str | None, typer.Option(metavar="URL", help=GATEWAY_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Look at database, broker, gateway and fleet, and say what is wrong and what to do. Changes nothing.

    Exit code 0: nothing to do; 1: something needs action; 2: usage.
    """
    import asyncio

    from joulegate_cli.doctor.examine import Asked, examine
    from joulegate_cli.doctor.finding import worst
    from joulegate_cli.doctor.mosquitto import read_conf
    from joulegate_core.settings import load_settings

    settings = load_settings(os.environ)
    if gateway is None and settings.metrics_port:
        host = "127.0.0.1" if settings.metrics_host in {"0.0.0.0", "::"} else settings.metrics_host  # noqa: S104 - compared
        gateway = f"http://{host}:{settings.metrics_port}"
    elif gateway is not None and gateway != "none" and not gateway.startswith(("http://", "https://")):
        raise typer.BadParameter("expected http://HOST:PORT or none", param_hint="--gateway")
    conf = None if mosquitto_conf is None else read_conf(mosquitto_conf)
    asked = Asked(gateway=None if gateway in {None, "none"} else str(gateway).rstrip("/"), conf=conf)
    findings = asyncio.run(examine(settings, asked))
    (_print_json if as_json else _print_table)(worst(findings))
    raise typer.Exit(int(any(finding.needs_action for finding in findings)))


def _print_json(findings: "list[Finding]") -> None:
    rows = [
        {"check": one.check, "severity": one.severity.word, "text": one.text, "action": one.action or None}
        for one in findings
    ]
    answer = {"needsAction": any(one.needs_action for one in findings), "findings": rows}
    print(json.dumps(answer, indent=2, ensure_ascii=False))


def _print_table(findings: "list[Finding]") -> None:
    width = max(len(one.check) for one in findings)
    for one in findings:
        print(f"{one.severity.word:<8}  {one.check:<{width}}  {one.text}")
        if one.action:
            print(f"{'':<8}  {'':<{width}}  -> {one.action}")
    acting = sum(one.needs_action for one in findings)
    print(f"{len(findings)} findings, {acting} need action" if acting else f"{len(findings)} findings, nothing to do")

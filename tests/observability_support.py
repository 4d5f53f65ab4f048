"""The dashboards and rules as shipped: their queries, and what is exported and documented beside them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "observability"
DASHBOARDS = sorted((FOLDER / "grafana/dashboards").glob("*.json"))
RULES = FOLDER / "prometheus/rules.yml"

OF_PROMETHEUS = {"up": {"job", "instance"}, "ALERTS": {"alertname", "alertstate", "severity"}}
"""Series that Prometheus makes itself."""


class Metric(NamedTuple):
    """A metric as Prometheus knows it: the name with `_total`, its type, and the names of its labels."""

    name: str
    type: str
    labels: frozenset[str]


def exported(text: str) -> set[Metric]:
    """The metrics of an answer of /metrics, without the client library's `_created`."""
    found = set()
    for family in text_string_to_metric_families(text):
        if family.name.endswith("_created"):
            continue
        labels = frozenset(label for sample in family.samples for label in sample.labels) - {"le"}
        found.add(Metric(family.name + ("_total" if family.type == "counter" else ""), family.type, labels))
    return found


def documented(heading: str) -> set[Metric]:
    """The table of docs/metrics.md under the heading that begins so."""
    text = (ROOT / "docs/metrics.md").read_text()
    section = text.split(f"\n## {heading}", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(\w+)(?:\{([\w,]+)\})?` \| (\w+) \| \S", section, re.MULTILINE)
    return {Metric(name, kind, frozenset(labels.split(",")) - {""}) for name, labels, kind in rows}


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The panels that ask something, those of rows too."""
    for panel in dashboard["panels"]:
        yield from panels(panel) if "panels" in panel else [panel]


def targets(kind: str) -> list[tuple[str, str]]:
    """(dashboard and panel, query) of every target whose data source is of this kind."""
    key = {"prometheus": "expr", "grafana-postgresql-datasource": "rawSql"}[kind]
    found = []
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        found += [
            (f"{path.stem}: {panel['title']} {target['refId']}", target[key])
            for panel in panels(dashboard)
            for target in panel["targets"]
            if target["datasource"]["type"] == kind
        ]
        found += [
            (f"{path.stem}: variable {variable['name']}", variable["query"])
            for variable in dashboard["templating"]["list"]
            if variable["datasource"]["type"] == kind
        ]
    return found


def rules() -> list[dict[str, Any]]:
    """Every alert rule."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Each series that a PromQL expression names, with the labels that it is matched and grouped by."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    grouped = {
        label.strip() for names in re.findall(r"\b(?:by|without|on)\s*\(([^)]*)\)", bare) for label in names.split(",")
    }
    for name, matchers in re.findall(r"\b((?:joulegate|process)_\w+|up|ALERTS)\b(?:\{([^}]*)\})?", bare):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) | grouped

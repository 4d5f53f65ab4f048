"""deploy/kubernetes: strictly valid by Kubernetes' own schemas, and true to joulegate: settings, commands, images, ports, time to drain."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import typer
import yaml  # type: ignore[import-untyped]

from joulegate_cli.commands import command_line
from joulegate_core.settings import load_settings
from joulegate_gateway.service import DRAIN_SECONDS

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "deploy/kubernetes"
README = (FOLDER / "README.md").read_text()
KUSTOMIZATIONS = {path.parent: yaml.safe_load(path.read_text()) for path in FOLDER.rglob("kustomization.yaml")}
FILES = sorted(path for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml")
Json = dict[str, Any]
DOCUMENTS: dict[str, Json] = {
    f"{path.stem}: {document['kind']} {document['metadata']['name']}": document
    for path in FILES
    for document in yaml.safe_load_all(path.read_text())
}
OLDEST = "1.32"
SECRETS = {
    ("joulegate-owner", "database-url"): "postgresql://joulegate:PASSWORD@HOST:5432/joulegate",
    ("joulegate-gateway", "database-url"): "postgresql://joulegate_gateway_login:PASSWORD@HOST:5432/joulegate",
    ("joulegate-gateway", "mqtt-url"): "mqtts://gateway:PASSWORD@BROKER:8883",
    ("joulegate-gateway", "client-secret"): "0123456789abcdef" * 2,
    ("joulegate-gateway", "share-group"): "fedcba9876543210" * 2,
    ("joulegate-http", "database-url"): "postgresql://joulegate_operator_login:PASSWORD@HOST:5432/joulegate",
    ("joulegate-http", "read-database-url"): "postgresql://joulegate_reader_login:PASSWORD@HOST:5432/joulegate",
    ("joulegate-http", "api-tokens"): f"dashboard:read:sha256:{'0' * 64}",
}
"""As README.md makes them."""


def pods() -> Iterator[tuple[str, Json]]:
    """Every pod template."""
    for name, document in DOCUMENTS.items():
        spec = document.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            yield name, spec["template"]


PODS = dict(pods())


def container(pod: Json) -> Json:
    """The one container."""
    [one] = pod["spec"]["containers"]
    found: Json = one
    return found


def environ(pod: Json) -> dict[str, str]:
    """What the container gets, with `$(NAME)` of the names before it put in, as Kubernetes does."""
    found: dict[str, str] = {}
    for entry in container(pod)["env"]:
        source = entry.get("valueFrom", {})
        if "secretKeyRef" in source:
            value = SECRETS[source["secretKeyRef"]["name"], source["secretKeyRef"]["key"]]
        elif "fieldRef" in source:
            value = "gateway-99"
        else:
            value = re.sub(r"\$\((\w+)\)", lambda name: found[name[1]], entry["value"])
        found[entry["name"]] = value
    return found


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_kubernetes_accepts_it(name: str, version: str) -> None:
    kubernetes_validate.validate(DOCUMENTS[name], version, strict=True)


def test_kubernetes_would_refuse_a_typo() -> None:
    document = next(document for document in DOCUMENTS.values() if document["kind"] == "StatefulSet")
    wrong = document | {"spec": document["spec"] | {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, OLDEST, strict=True)


def test_every_file_is_applied_by_a_kustomization_and_has_its_image() -> None:
    listed = {folder / resource for folder, one in KUSTOMIZATIONS.items() for resource in one["resources"]}
    assert listed == set(FILES)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    named = {(image["name"], image["newTag"]) for one in KUSTOMIZATIONS.values() for image in one["images"]}
    assert named == {(container(pod)["image"], version) for pod in PODS.values()}
    for name, tag in named:
        assert re.search(rf"docker build .*-t {name}:{tag} \.", README), "README.md says how it is built"


@pytest.mark.parametrize("name", PODS)
def test_the_settings_are_known_and_accepted(name: str) -> None:
    given = environ(PODS[name])
    assert {key for key in given if not key.startswith("JOULEGATE_")} <= {"POD_NAME", "CLIENT_SECRET"}
    settings = load_settings(given)
    ports = {port["name"]: port["containerPort"] for port in container(PODS[name]).get("ports", [])}
    if "metrics" in ports:
        assert (settings.metrics_host, settings.metrics_port) == ("0.0.0.0", ports["metrics"])
    if "http" in ports:
        assert (settings.http_host, settings.http_port) == ("0.0.0.0", ports["http"])
    if container(PODS[name])["args"][0] == "gateway":
        assert re.fullmatch(r"gateway-\d+-[0-9a-f]{32}", settings.client_id)
        assert settings.share_group


def test_a_gateway_leaves_as_the_one_that_it_was() -> None:
    ids = {
        name: [entry for entry in container(pod)["env"] if entry["name"] in {"JOULEGATE_CLIENT_ID", "CLIENT_SECRET"}]
        for name, pod in PODS.items()
    }
    assert ids["gateway: StatefulSet gateway"] == ids["job: Job leave"]


def test_secrets_are_referred_to_and_made_by_the_readme() -> None:
    used = set()
    for pod in PODS.values():
        for entry in container(pod)["env"]:
            if reference := entry.get("valueFrom", {}).get("secretKeyRef"):
                used.add((reference["name"], reference["key"]))
            else:
                assert not re.search("PASSWORD|TOKEN|SECRET|_URL", entry["name"])
    assert used == SECRETS.keys()
    for name, key in used:
        made = re.search(rf"create secret generic {name} \\\n((?: .*\\\n)* .*)", README)
        assert made is not None
        assert f"--from-literal={key}=" in made[1]
        if key.endswith("database-url"):
            assert f"{key}='{SECRETS[name, key]}'" in made[1]


def test_only_who_changes_the_schema_has_the_owners_login() -> None:
    having = {
        name
        for name, pod in PODS.items()
        for entry in container(pod)["env"]
        if entry.get("valueFrom", {}).get("secretKeyRef", {}).get("name") == "joulegate-owner"
    }
    assert {container(PODS[name])["args"][0] for name in having} == {"migrate", "archive"}
    logins = (FOLDER.parent.parent / "db/postgres/logins.sql").read_text()
    named = set(re.findall(r"://(joulegate_\w+):", README))
    assert named == {"joulegate_gateway_login", "joulegate_operator_login", "joulegate_reader_login"}
    assert all(f"('{name}'" in logins for name in named)


@pytest.mark.parametrize("name", PODS)
def test_the_command_exists(name: str) -> None:
    root = typer.main.get_command(command_line())
    command, *words = container(PODS[name])["args"]
    found = root.get_command(typer.Context(root), command)  # type: ignore[attr-defined]
    assert found is not None
    options = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("name", PODS)
def test_a_pod_may_do_little_and_is_bounded(name: str) -> None:
    spec, one = PODS[name]["spec"], container(PODS[name])
    assert spec["enableServiceLinks"] is False
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsGroup"]) == (int(user[1]), int(user[2]))
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert {"cpu", "memory"} <= one["resources"]["requests"].keys()
    assert "memory" in one["resources"]["limits"]


@pytest.mark.parametrize(
    ("name", "port"), [("gateway: StatefulSet gateway", "metrics"), ("http: Deployment http", "http")]
)
def test_services_are_probed_and_have_the_time_to_end(name: str, port: str) -> None:
    spec, one = PODS[name]["spec"], container(PODS[name])
    assert one["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": port}
    assert one["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port}
    for probe in ("livenessProbe", "readinessProbe"):
        assert one[probe]["timeoutSeconds"] > 2, "as long as the answer may take while the database is away"
    if port == "metrics":
        assert spec["terminationGracePeriodSeconds"] > 2 * DRAIN_SECONDS


def test_everything_selects_something() -> None:
    templates = [pod["metadata"]["labels"] for pod in PODS.values()]
    for name, document in DOCUMENTS.items():
        spec = document.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector", {}))
        labels = selector.get("matchLabels", selector if document["kind"] == "Service" else {})
        assert any(labels.items() <= template.items() for template in templates), name
        for expression in selector.get("matchExpressions", []):
            assert set(expression["values"]) <= {template[expression["key"]] for template in templates}, name
    named = {port["name"] for pod in PODS.values() for port in container(pod).get("ports", [])}
    policies = [document["spec"] for document in DOCUMENTS.values() if document["kind"] == "NetworkPolicy"]
    ports = {p["port"] for policy in policies for rule in policy.get("ingress", []) for p in rule["ports"]}
    assert ports == named


def test_nothing_is_reachable_by_default() -> None:
    policies = {d["metadata"]["name"]: d["spec"] for d in DOCUMENTS.values() if d["kind"] == "NetworkPolicy"}
    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}

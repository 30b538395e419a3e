"""What `deploy/` and the Dockerfile say is true of the code: settings, commands, ports, times."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.settings.load import load
from collector.settings.models import Settings
from collector.settings.names import ALIASES, ENVIRONMENT

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
KNOWN = {*ENVIRONMENT, *(name for group in ALIASES for name in group)}
EXAMPLES = {
    "REDIS_URL": "redis://redis:6379/0",
    "DATABASE_URL": "postgresql://otlpg:password@postgres:5432/otlpg",
}
"""Values that an operator gives outside these files."""

Environment = dict[str, str]


def compose() -> dict[str, Any]:
    """Return the compose file, merge keys resolved."""
    return yaml.safe_load((DEPLOY / "docker-compose.yaml").read_text())


def deployment() -> dict[str, Any]:
    """Return the Pod template's spec of the Kubernetes Deployment."""
    manifest = yaml.safe_load((DEPLOY / "kubernetes" / "deployment.yaml").read_text())
    return manifest["spec"]["template"]["spec"]


def pod_containers() -> list[dict[str, Any]]:
    """Return the containers that run otlpg, those that prepare it first."""
    return [*deployment()["initContainers"], *deployment()["containers"]]


def unit() -> str:
    """Return the systemd unit."""
    return (DEPLOY / "systemd" / "otlpg.service").read_text()


def image_environment() -> Environment:
    """Return what the Dockerfile's last ENV gives every container."""
    block = DOCKERFILE.rpartition("\nENV ")[2].replace("\\\n", " ").splitlines()[0]
    return dict(pair.split("=", 1) for pair in block.split())


def given(name: str, value: str | None) -> str:
    """Return ``value`` as a container sees it: defaults taken, what comes from outside filled in."""
    if value is None:
        return EXAMPLES[name]
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def environments() -> Iterator[tuple[str, Environment]]:
    """Yield every environment that `deploy/` gives an otlpg process, with a name for it."""
    yield "image", image_environment()
    for name, service in compose()["services"].items():
        if service.get("build") == "..":
            pairs = {key: given(key, value) for key, value in service["environment"].items()}
            yield f"compose {name}", image_environment() | pairs
    for container in pod_containers():
        pairs = {
            entry["name"]: given(entry["name"], entry.get("value")) for entry in container["env"]
        }
        yield f"kubernetes {container['name']}", image_environment() | pairs
    lines = (DEPLOY / "systemd" / "otlpg.env").read_text().splitlines()
    pairs = [re.fullmatch(r"#?([A-Z_]+)=(.*)", line) for line in lines]
    yield "systemd", {pair[1]: pair[2] for pair in pairs if pair is not None}


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield every otlpg command that `deploy/` runs."""
    yield "image", re.findall(r'"(\w+)"', DOCKERFILE.rpartition("\nCMD ")[2])
    for name, service in compose()["services"].items():
        if service.get("build") == ".." and "command" in service:
            yield f"compose {name}", service["command"]
    for container in pod_containers():
        yield f"kubernetes {container['name']}", container["args"]
    for line in re.findall(r"^ExecStart\w*=\S+/otlpg (.*)$", unit(), re.MULTILINE):
        yield "systemd", line.split()


ENVIRONMENTS = dict(environments())


@pytest.mark.parametrize("place", [place for place in ENVIRONMENTS if place != "image"])
def test_environment_loads(place: str) -> None:
    """Settings start from it, and each of our names is a setting that exists."""
    environment = ENVIRONMENTS[place]

    settings = load(config=None, flags={}, environ=environment)

    ours = {name for name in environment if re.match(r"OTLPG_|DB_|DATABASE_|REDIS_", name)}
    assert ours
    assert ours <= KNOWN
    assert settings.database.dsn or settings.database.host


@pytest.mark.parametrize(("place", "command"), list(commands()))
def test_command_exists(place: str, command: list[str]) -> None:
    """Each command that a container or the unit runs is one of ours."""
    run = subprocess.run(
        [sys.executable, "-m", "collector", *command, "--help"], capture_output=True, check=False
    )

    assert run.returncode == 0, run.stderr.decode()


@pytest.mark.parametrize("place", ["compose otlpg", "kubernetes otlpg"])
def test_container_is_reached_from_outside(place: str) -> None:
    """A container listens beyond loopback, and its file says so in as many words."""
    settings = load(config=None, flags={}, environ=ENVIRONMENTS[place])

    assert settings.receive.grpc_host == "0.0.0.0"
    assert settings.telemetry.host == "0.0.0.0"
    assert settings.receive.insecure


def test_ports_are_those_of_the_settings() -> None:
    """Image, Service and probes name the ports that the daemon opens by default."""
    ports = {str(Settings().receive.grpc_port), str(Settings().telemetry.port)}
    container = deployment()["containers"][0]
    services = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "service.yaml").read_text()))

    exposed = re.search(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)
    assert exposed is not None
    assert set(exposed[1].split()) == ports
    assert {str(port["containerPort"]) for port in container["ports"]} == ports
    assert {mapping.split(":")[2] for mapping in compose()["services"]["otlpg"]["ports"]} == ports
    names = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    for service in services:
        for port in service["spec"]["ports"]:
            assert names[port["targetPort"]] == str(port["port"])


def test_nobody_kills_a_drain() -> None:
    """Whoever stops otlpg waits longer than it may take to commit what waits."""
    drain_s = Settings().ingest.drain_s_max
    pod = deployment()
    before_s = float(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    timeout = re.search(r"^TimeoutStopSec=(\d+)s$", unit(), re.MULTILINE)

    assert timeout is not None
    assert float(timeout[1]) > drain_s
    assert pod["terminationGracePeriodSeconds"] > before_s + drain_s
    assert float(compose()["services"]["otlpg"]["stop_grace_period"].rstrip("s")) > drain_s


def test_pod_is_locked_down() -> None:
    """No container runs as root, writes its image or gains a privilege."""
    pod = deployment()

    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in pod_containers():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"requests", "limits"} <= container["resources"].keys()


def test_selectors_find_the_pods() -> None:
    """Services and the disruption budget select labels that the Pods carry."""
    folder = DEPLOY / "kubernetes"
    manifest = yaml.safe_load((folder / "deployment.yaml").read_text())
    labels = manifest["spec"]["template"]["metadata"]["labels"].items()
    budget = yaml.safe_load((folder / "pod-disruption-budget.yaml").read_text())
    services = yaml.safe_load_all((folder / "service.yaml").read_text())

    for service in services:
        assert service["spec"]["selector"].items() <= labels
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels
    assert manifest["spec"]["selector"]["matchLabels"].items() <= labels


def test_every_file_of_the_folder_is_used() -> None:
    """The kustomization lists each manifest beside it."""
    folder = DEPLOY / "kubernetes"
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]

    assert {path.name for path in folder.iterdir()} == {*listed, "kustomization.yaml"}


def test_image_copies_what_exists_and_is_sent() -> None:
    """Each COPY takes a path of the repository that .dockerignore lets through."""
    sent = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copies = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)

    sources = [source for line in copies for source in line.split()]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in sent


def test_sample_collector_forwards_to_the_compose_service() -> None:
    """The otel-collector's exporter names otlpg, never gives up, and waits longer than a hold."""
    config = yaml.safe_load((DEPLOY / "otel-collector" / "config.yaml").read_text())
    exporter = config["exporters"]["otlp_grpc"]
    host, port = given("FORWARD_TO", exporter["endpoint"].replace("env:", "")).split(":")

    assert host in compose()["services"]
    assert int(port) == Settings().receive.grpc_port
    assert exporter["retry_on_failure"]["max_elapsed_time"] == "0s"
    timeout_s = float(exporter["timeout"].rstrip("s"))
    hold_s = min(timeout_s * Settings().receive.hold_share, Settings().receive.hold_s_max)
    assert hold_s < timeout_s

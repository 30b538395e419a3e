"""What `deploy/` and the Dockerfile say is true of the code: settings, commands, ports, times."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.cli.exit_codes import exit_code
from collector.errors import SchemaError, SettingsError
from collector.settings.load import load
from collector.settings.models import Settings
from collector.settings.names import ALIASES, ENVIRONMENT

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
KNOWN = {*ENVIRONMENT, *(name for group in ALIASES for name in group)}
EXAMPLES = {
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


def unit(name: str = "otlpg") -> str:
    """Return a systemd unit."""
    return (DEPLOY / "systemd" / f"{name}.service").read_text()


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
    for path in (DEPLOY / "systemd").glob("*.env"):
        lines = path.read_text().splitlines()
        pairs = [re.fullmatch(r"#?([A-Z_]+)=(.*)", line) for line in lines]
        yield f"systemd {path.stem}", {pair[1]: pair[2] for pair in pairs if pair is not None}


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield every otlpg command that `deploy/` runs."""
    yield "image", re.findall(r'"(\w+)"', DOCKERFILE.rpartition("\nCMD ")[2])
    for name, service in compose()["services"].items():
        if service.get("build") == ".." and "command" in service:
            yield f"compose {name}", service["command"]
    for container in pod_containers():
        yield f"kubernetes {container['name']}", container["args"]
    for name in ("otlpg", "otlpg-migrate", "otlpg-verify"):
        for line in re.findall(r"^ExecStart\w*=\S+/otlpg (.*)$", unit(name), re.MULTILINE):
            yield f"systemd {name}", line.split()


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


@pytest.mark.parametrize(
    ("place", "anywhere"), [("compose otlpg", "0.0.0.0"), ("kubernetes otlpg", "::")]
)
def test_container_is_reached_from_outside(place: str, anywhere: str) -> None:
    """A container listens beyond loopback, and its file says so in as many words."""
    settings = load(config=None, flags={}, environ=ENVIRONMENTS[place])

    assert settings.receive.grpc_host == anywhere
    assert settings.receive.http_host == anywhere
    assert settings.telemetry.host == anywhere
    assert settings.receive.insecure


def test_image_opens_nothing_by_itself() -> None:
    """The image alone listens on loopback; whoever runs it says otherwise (promise 9)."""
    assert not {name for name in ENVIRONMENTS["image"] if name.startswith("OTLPG_")}


def test_only_otlpg_is_published_and_only_on_loopback() -> None:
    """Compose opens no database to the machine, and nothing to the network."""
    published = {
        name: ports for name, service in compose()["services"].items()
        if (ports := service.get("ports"))
    }  # fmt: skip

    assert published.keys() == {"otlpg", "otel-collector"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


@pytest.mark.parametrize(
    ("given_port", "port"), [(None, Settings().telemetry.port), ("", 9095), ("19095", 19095)]
)
def test_health_check_of_the_image_follows_the_port(
    given_port: str | None, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks at the port of the setting; an empty one is none, as our settings read it."""
    found = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert found is not None
    program, option, code = json.loads(found[1])
    asked: list[str] = []
    monkeypatch.delenv("OTLPG_TELEMETRY__PORT", raising=False)
    if given_port is not None:
        monkeypatch.setenv("OTLPG_TELEMETRY__PORT", given_port)

    def urlopen(url: str, timeout: float) -> None:
        asked.append(url)
        assert timeout < 3  # the image's own limit

    monkeypatch.setattr("urllib.request.urlopen", urlopen)

    exec(code, {})

    assert (program, option) == ("python", "-c")
    assert asked == [f"http://127.0.0.1:{port}/health/live"]


def test_ports_are_those_of_the_settings() -> None:
    """Image, Service and probes name the ports that the daemon opens by default."""
    defaults = Settings()
    receive, telemetry = defaults.receive, defaults.telemetry
    ports = {str(port) for port in (receive.grpc_port, receive.http_port, telemetry.port)}
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


def test_probes_ask_what_they_are_for() -> None:
    """PostgreSQL decides whether a Pod may start, never whether it stays in the Service or lives."""
    container = deployment()["containers"][0]

    asked = {
        name: container[f"{name}Probe"]["httpGet"]["path"]
        for name in ("startup", "readiness", "liveness")
    }

    assert asked == {
        "startup": "/health/ready",
        "readiness": "/health/live",
        "liveness": "/health/live",
    }


def test_network_policy_lets_in_what_the_pods_open() -> None:
    """It selects the Pods, names each of their ports, and opens none to everybody."""
    policy = yaml.safe_load((DEPLOY / "kubernetes" / "network-policy.yaml").read_text())["spec"]
    manifest = yaml.safe_load((DEPLOY / "kubernetes" / "deployment.yaml").read_text())
    labels = manifest["spec"]["template"]["metadata"]["labels"].items()

    opened = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}

    assert policy["podSelector"]["matchLabels"].items() <= labels
    assert opened == {port["name"] for port in deployment()["containers"][0]["ports"]}
    assert all(rule["from"] for rule in policy["ingress"])


def test_systemd_gives_up_where_a_start_cannot_help() -> None:
    """Exit codes are heeded for the main process alone, so nothing runs before it; and no loop."""
    daemon = unit()

    assert "\nExecStartPre=" not in daemon
    prevented = re.search(r"^RestartPreventExitStatus=(.*)$", daemon, re.MULTILINE)
    assert prevented is not None
    assert prevented[1].split() == [
        str(exit_code(SettingsError(""))),
        str(exit_code(SchemaError(""))),
    ]
    assert re.search(r"^StartLimitBurst=[1-9]", daemon, re.MULTILINE)
    assert not re.search(r"^StartLimitIntervalSec=0", daemon, re.MULTILINE)


@pytest.mark.parametrize("name", ["otlpg", "otlpg-migrate", "otlpg-verify"])
def test_what_a_unit_refers_to_is_installed(name: str) -> None:
    """Every file that a unit names is put there by the lines at the top of otlpg.service."""
    lines = [line for line in unit().splitlines() if line.startswith("#   ")]
    installed = "\n".join(lines)

    for path in re.findall(
        r"^(?:Documentation=file:|EnvironmentFile=)(\S+)$", unit(name), re.MULTILINE
    ):
        folder, _, file = path.rpartition("/")
        assert path in installed or (
            f"*.env {folder}/" in installed and (DEPLOY / "systemd" / file).is_file()
        ), path

"""docker-compose.yml and Dockerfile against the settings the code reads; no Docker engine is needed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from tests.svoykrug.test_settings import READ, SAFE

ROOT = Path(settings.BASE_DIR)
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = ["web", "worker", "beat", "migrate"]
SERVERS = ["postgres", "clickhouse", "redis"]


def test_compose_runs_our_image_and_the_specified_servers():
    assert sorted(SERVICES) == sorted(OURS + SERVERS)
    assert {name: SERVICES[name]["image"] for name in ("postgres", "clickhouse")} == {
        "postgres": "postgres:16.11",
        "clickhouse": "clickhouse/clickhouse-server:25.8",
    }
    assert re.fullmatch(r"redis:\d+\.\d+", SERVICES["redis"]["image"])
    assert {SERVICES[name]["image"] for name in OURS} == {"svoykrug:latest"}


@pytest.mark.parametrize("name", OURS)
def test_our_image_runs_without_privileges(name):
    service = SERVICES[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp:size=64m,mode=1777"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", OURS + SERVERS)
def test_every_service_has_limits(name):
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert limits.keys() >= {"cpus", "memory"}


@pytest.mark.parametrize("name", sorted({*OURS, *SERVERS} - {"migrate"}))
def test_every_lasting_service_is_watched_and_restarted(name):
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"].keys() >= {"test", "interval", "timeout", "retries"}


def test_nothing_starts_before_the_tables_are_there():
    assert SERVICES["migrate"]["command"] == ["python", "manage.py", "prepare"]
    assert SERVICES["migrate"]["restart"] == "no"
    for name in ("web", "worker", "beat"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    # Analytics down does not keep the till from starting.
    assert "clickhouse" not in SERVICES["web"]["depends_on"]


@pytest.mark.parametrize("name", OURS)
def test_environment_names_settings_the_code_reads(name):
    read = set(READ.findall((ROOT / "svoykrug" / "settings.py").read_text()))
    given = {variable.removesuffix("_FILE") for variable in SERVICES[name]["environment"]}
    assert given - read == set()
    assert given >= SAFE.keys() - {"DEBUG"}


def test_secrets_come_from_files():
    for name, service in SERVICES.items():
        variables = service.get("environment", {})
        for variable, value in variables.items():
            if re.search("KEY|PASSWORD|_URL", variable):
                assert variable.endswith("_FILE"), f"{name}: {variable}"
                assert Path(value).parent == Path("/run/secrets")
                assert Path(value).name in service["secrets"]
        assert set(service.get("secrets", [])) <= COMPOSE["secrets"].keys()
    assert {secret["file"] for secret in COMPOSE["secrets"].values()} == {
        f"./secrets/{name}" for name in COMPOSE["secrets"]
    }
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_servers_keep_their_data_and_are_reached_from_inside_only():
    for name in SERVERS:
        (volume,) = SERVICES[name]["volumes"]
        assert volume.split(":")[0] in COMPOSE["volumes"]
        assert SERVICES[name]["networks"] == ["inside"]
        assert "ports" not in SERVICES[name]
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert SERVICES["web"]["ports"] == ["127.0.0.1:8000:8000"]


def test_clickhouse_user_may_make_the_named_collection():
    (mount,) = SERVICES["clickhouse"]["configs"]
    content = COMPOSE["configs"][mount["source"]]["content"]
    assert mount["target"].startswith("/etc/clickhouse-server/users.d/")
    assert "<named_collection_control>1</named_collection_control>" in content
    assert f"<{SERVICES['clickhouse']['environment']['CLICKHOUSE_USER']}>" in content


def test_settings_of_the_web_service_pass_the_deploy_checks(tmp_path):
    """The environment compose gives, its secrets in files, variables of `.env` filled in."""
    from_env_file = {"ALLOWED_HOSTS": "krug.example", "OTP_DELIVERY": "deliveries.sms"}
    environment = {}
    for variable, value in SERVICES["web"]["environment"].items():
        if variable.endswith("_FILE"):
            path = tmp_path / Path(value).name
            path.write_text(SAFE[variable.removesuffix("_FILE")] + "\n")
            environment[variable] = str(path)
        else:
            reference = re.fullmatch(r"\$\{(\w+)(?::\?[^}]*|:-([^}]*))\}", value)
            environment[variable] = from_env_file.get(reference[1], reference[2]) if reference else value
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_dockerfile_copies_every_package_and_runs_as_nobody():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = {line.split()[1] for line in lines if line.startswith("COPY ") and "--from" not in line}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied - {"manage.py", "gunicorn.conf.py", "requirements.txt"} == {
        "svoykrug", "loyalty", "promos", "events", "analytics", "templates", "static", "locale",
    }  # fmt: skip
    assert copied == allowed
    assert lines.index("USER svoykrug") > max(i for i, line in enumerate(lines) if line.startswith("RUN "))
    assert [line for line in lines if line.startswith("FROM ")] == [
        "FROM python:3.11-slim AS build",
        "FROM python:3.11-slim",
    ]
    # `user:` in compose names the same ids.
    assert "--uid 10001" in (ROOT / "Dockerfile").read_text()

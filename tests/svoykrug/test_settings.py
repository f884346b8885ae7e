"""Production refuses unsafe settings, and `.env.example` names every one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from svoykrug.checks import production_is_safe, servers_are_known
from svoykrug.environment import EnvironmentOrFile

ROOT = Path(settings.BASE_DIR)
READ = re.compile(r"""\benv(?:\.\w+)?\(\s*"([A-Z_]+)\"""")

SAFE = {
    "SVOYKRUG_ENV": "production",
    "DEBUG": "false",
    "SECRET_KEY": "a-key-of-the-site-0123456789-0123456789-0123456789-abc",
    "JWT_SIGNING_KEY": "a-key-of-tokens-0123456789-0123456789-0123456789-abc",
    "ENCRYPTION_KEYS": "a-key-of-secrets-0123456789-0123456789-0123456789-ab",
    "ALLOWED_HOSTS": "krug.example",
    "DATABASE_URL": "postgres://svoykrug:password@postgres:5432/svoykrug",
    "CLICKHOUSE_URL": "clickhouse://svoykrug:password@clickhouse:9000/svoykrug",
    "REDIS_URL": "redis://:password@redis:6379/0",
}


def check_deploy(**changes: str | None) -> subprocess.CompletedProcess[str]:
    """Run `manage.py check --deploy` with SAFE and the changes (None: not set); a warning fails too."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = {name: value for name, value in {**kept, **SAFE, **changes}.items() if value is not None}
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


def refusals(output: str) -> list[str]:
    return re.findall(r"svoykrug\.E\d+", output)


def test_safe_production_settings_pass_without_a_warning(tmp_path):
    secret = tmp_path / "secret_key"
    secret.write_text(SAFE["SECRET_KEY"] + "\n")
    done = check_deploy(SECRET_KEY=None, SECRET_KEY_FILE=str(secret))
    assert (done.returncode, done.stderr) == (0, "")


def test_production_without_settings_is_refused_and_uses_no_embedded_server():
    done = check_deploy(**{**dict.fromkeys(SAFE), "SVOYKRUG_ENV": "production", "DEBUG": "true"})
    assert done.returncode == 1
    assert sorted(refusals(done.stderr)) == [
        "svoykrug.E001",
        "svoykrug.E002",
        "svoykrug.E003",
        "svoykrug.E010",
        "svoykrug.E011",
        "svoykrug.E012",
        "svoykrug.E014",
        "svoykrug.E016",
    ]


@pytest.mark.parametrize(
    ("name", "value", "refusal"),
    [
        ("DEBUG", True, "svoykrug.E010"),
        ("SECRET_KEY", settings.DEVELOPMENT_SECRET_KEY, "svoykrug.E011"),
        ("SECRET_KEY", "r4nd0m-but-one-character-too-short-0123456789-abc", "svoykrug.E011"),
        ("JWT_SIGNING_KEY", settings.DEVELOPMENT_SECRET_KEY + "-jwt", "svoykrug.E012"),
        ("JWT_SIGNING_KEY", SAFE["SECRET_KEY"], "svoykrug.E013"),
        ("ENCRYPTION_KEYS", [], "svoykrug.E016"),
        ("ENCRYPTION_KEYS", [SAFE["ENCRYPTION_KEYS"], "old-and-short"], "svoykrug.E016"),
        ("ALLOWED_HOSTS", [], "svoykrug.E014"),
        ("ALLOWED_HOSTS", ["krug.example", "*"], "svoykrug.E014"),
        ("FAILPOINTS", frozenset({"checkout-before-commit"}), "svoykrug.E015"),
    ],
)
def test_production_refuses_one_unsafe_setting(settings, name, value, refusal):
    settings.PRODUCTION, settings.DEBUG, settings.ALLOWED_HOSTS = True, False, ["krug.example"]
    settings.SECRET_KEY, settings.JWT_SIGNING_KEY = SAFE["SECRET_KEY"], SAFE["JWT_SIGNING_KEY"]
    settings.ENCRYPTION_KEYS = [SAFE["ENCRYPTION_KEYS"]]
    assert production_is_safe() == []

    setattr(settings, name, value)

    assert [error.id for error in production_is_safe()] == [refusal]


@pytest.mark.parametrize("name", ["DATABASE_URL", "CLICKHOUSE_URL", "REDIS_URL"])
def test_absent_address_is_named(settings, name):
    settings.DATABASE_URL = settings.CLICKHOUSE_URL = settings.REDIS_URL = "somewhere"
    setattr(settings, name, "")
    assert [error.msg for error in servers_are_known()] == [f"{name} is not set."]


def test_failpoints_stop_production_from_starting():
    assert refusals(check_deploy(FAILPOINTS="checkout-before-commit").stderr) == ["svoykrug.E015"]


def test_environment_of_another_name_is_refused():
    done = check_deploy(SVOYKRUG_ENV="staging")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].endswith("SVOYKRUG_ENV is 'development' or 'production'.")


def test_newline_at_the_end_of_a_file_is_no_part_of_the_secret(tmp_path, monkeypatch):
    secret = tmp_path / "secret"
    secret.write_text("Pass word \r\n")
    monkeypatch.setenv("REDIS_URL_FILE", str(secret))
    assert EnvironmentOrFile()["REDIS_URL"] == "Pass word "


def test_secret_file_that_is_missing_stops_the_start(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "secret_key"))
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FILE cannot be read"):
        EnvironmentOrFile()["SECRET_KEY"]


def test_example_names_every_setting_and_no_other():
    read = set(READ.findall((ROOT / "svoykrug" / "settings.py").read_text()))
    example = re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert sorted(example) == sorted(read)


def test_settings_are_the_only_reader_of_the_environment():
    # Passing the environment on to a child process is not reading a setting.
    reads = re.compile(r"os\.getenv|os\.environ(\.get\(|\[)\s*['\"](?!PATH|PG)")
    code = [
        path
        for app in ("svoykrug", "loyalty", "promos", "events", "analytics")
        for path in (ROOT / app).rglob("*.py")
    ]
    assert [str(path) for path in code if reads.search(path.read_text())] == []

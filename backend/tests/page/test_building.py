"""How the page gets built: `tools/frontend.py`, as the setup calls it."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).resolve().parents[3] / "tools" / "frontend.py"


@pytest.fixture(scope="module")
def frontend() -> ModuleType:
    spec = importlib.util.spec_from_file_location("frontend", TOOL)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def put_node(folder: Path, version: str) -> None:
    folder.mkdir(parents=True)
    for name in ("node", "npm"):
        (folder / name).write_text(f"#!/bin/sh\necho {version}\n", encoding="utf-8")
        (folder / name).chmod(0o755)


def test_what_is_served_was_built_from_the_sources_of_now(frontend: ModuleType) -> None:
    assert (frontend.BUILT / ".built").read_text(encoding="utf-8") == frontend.digest(), "run: make setup"


@pytest.mark.parametrize(
    ("own", "is_taken"),
    [("v20.19.0", True), ("v24.0.1", True), ("v22.12.0", True), ("v22.11.9", False), ("v18.20.4", False)],
)
def test_the_machines_own_node_is_taken_if_it_is_new_enough(
    frontend: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, *, is_taken: bool
) -> None:
    put_node(tmp_path / "system", own)
    put_node(tmp_path / "venv" / "bin", "v24.19.0")
    monkeypatch.setenv("PATH", str(tmp_path / "system"))
    path = frontend.find_node(tmp_path / "venv")
    first = path.split(":")[0]
    assert first == str(tmp_path / ("system" if is_taken else "venv/bin"))


def test_where_no_node_can_be_had_the_service_does_without_its_page(
    frontend: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(frontend, "_STAMP", tmp_path / "nothing")
    assert not frontend.provide(tmp_path / "venv", dev=False)
    assert "The service works without its page." in capsys.readouterr().err


def test_who_only_runs_the_service_fetches_no_tools_for_tests_and_developers_get_them_later(
    frontend: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_node(tmp_path / "bin", "v24.19.0")
    (tmp_path / "bin" / "npm").write_text(f'#!/bin/sh\necho "$*" >> {tmp_path / "asked"}\n', encoding="utf-8")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(frontend, "_STAMP", tmp_path / "built")
    monkeypatch.setattr(frontend, "_INSTALLED", tmp_path / "installed")
    for dev in (False, False, True, False):
        assert frontend.provide(tmp_path / "venv", dev=dev)
    asked = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    assert [line.split()[0] for line in asked] == ["ci", "run", "ci"]
    assert ["--omit=dev" in line for line in asked] == [True, False, False]

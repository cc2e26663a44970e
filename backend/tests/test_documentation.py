"""The documents say what the program does: every setting, error, call and command; and their links lead."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ByteSize, SecretStr, TypeAdapter
from pydantic_core import PydanticUndefined

from music_downloader.app import create_app
from music_downloader.cli import cli, users
from music_downloader.config.settings import SECRETS, Settings
from music_downloader.config.units import parse_duration
from music_downloader.errors import ErrorCode
from music_downloader.model import DownloadStatus

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOT_OURS = {".venv", ".audit", ".git", "node_modules", ".pytest_cache", "downloads", ".data"}
DOCUMENTS = sorted(
    document for document in ROOT.rglob("*.md") if not NOT_OURS.intersection(document.relative_to(ROOT).parts)
)
COMPUTED = {"encode_concurrency": "number of processors"}
METHODS = {"get", "post", "put", "patch", "delete", "head"}

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def section(title: str) -> str:
    """Return the README's text below a heading, up to the next one of that level or above."""
    before, heading, after = README.partition(f"# {title}\n")
    assert heading, f"the README has no heading {title!r}"
    level = len(before) - len(before.rstrip("#")) + 1
    return re.split(rf"^#{{1,{level}}} ", after, maxsplit=1, flags=re.MULTILINE)[0]


def rows(title: str) -> Iterator[list[str]]:
    """Yield the cells of the tables in a section, without their headings."""
    in_body = False
    for line in section(title).splitlines():
        if in_body and line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]
        else:
            in_body = line.startswith("| ---")


def first_cells(title: str) -> list[str]:
    return [cells[0].strip("`") for cells in rows(title)]


def written(name: str, default: Any) -> str:
    """Return a default as the table gives it, in the same units as `understood` reads."""
    if name in COMPUTED:
        return COMPUTED[name]
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if default in (None, (), ""):
        return "empty"
    return str(default).lower() if isinstance(default, bool) else str(default)


def understood(name: str, cell: str) -> str:
    """Read a default out of the table: sizes in bytes, durations in seconds."""
    text = cell.strip("`")
    annotation = Settings.model_fields[name].annotation
    if annotation is ByteSize:
        return str(int(TypeAdapter(ByteSize).validate_python(text)))
    return str(parse_duration(text)) if annotation is float else text


def test_the_readme_lists_every_setting_once() -> None:
    assert sorted(first_cells("Configuration")) == sorted(name.upper() for name in Settings.model_fields)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_readme_gives_the_right_default(name: str) -> None:
    field = Settings.model_fields[name]
    cells = next(cells for cells in rows("Configuration") if cells[0] == f"`{name.upper()}`")
    assert len(cells) == 3
    assert field.default is not PydanticUndefined or name in COMPUTED
    assert understood(name, cells[1]) == written(name, field.default)
    assert cells[2].endswith(".")


@pytest.mark.parametrize("name", SECRETS)
def test_the_readme_names_the_file_of_every_secret(name: str) -> None:
    assert f"`{name.upper()}_FILE`" in section("Configuration")


def test_the_readme_says_what_to_do_about_every_error_code() -> None:
    table = {cells[0].strip("`"): cells[1:] for cells in rows("Errors of a download")}
    assert sorted(table) == sorted(code.value for code in ErrorCode)
    assert all(len(said) == 2 and all(said) for said in table.values())


def test_the_readme_names_every_status_of_a_download() -> None:
    assert all(f"`{status.value}`" in section("API") for status in DownloadStatus)


def test_the_readme_lists_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("music_downloader.app.configure_logging", lambda **_: None)
    paths = create_app(Settings()).openapi()["paths"]
    calls = {
        f"{method.upper()} {path}" for path, ways in paths.items() for method in METHODS.intersection(ways)
    }
    documented = [cell for cell in first_cells("API") if " /" in cell]
    assert sorted(documented) == sorted(calls)


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        target
        for document in DOCUMENTS
        for target in re.findall(
            r"(?:`|^|\d )make ([a-z]+)", document.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert named <= targets
    assert targets <= {cell.removeprefix("make ") for cell in first_cells("Commands")}


def test_every_command_is_listed() -> None:
    commands = {
        command.name or command.callback.__name__ for command in cli.registered_commands if command.callback
    }
    commands |= {f"user {command.name}" for command in users.registered_commands}
    listed = {cell for cell in first_cells("Commands") if cell.startswith("nas-music ")}
    assert {re.sub(r"^nas-music | [A-Z ]+$", "", cell) for cell in listed} == commands


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    text = _FENCE.sub("", document.read_text(encoding="utf-8"))
    for target in _LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        found = (document.parent / name).resolve() if name else document
        assert found.exists(), f"{target} leads nowhere"
        if anchor:
            assert anchor in anchors(found), f"{target} has no such heading"


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub gives to a document's headings."""
    headings = _HEADING.findall(_FENCE.sub("", document.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

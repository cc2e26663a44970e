"""The documents say what the program does: every setting, error, call and command; and their links lead."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ByteSize, SecretStr, TypeAdapter
from pydantic_core import PydanticUndefined

from music_downloader.app import create_app
from music_downloader.cli import cli, users
from music_downloader.command.engine import engine
from music_downloader.config.settings import SECRETS, Settings
from music_downloader.config.units import parse_duration
from music_downloader.errors import ErrorCode
from music_downloader.model import DownloadStatus

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {".venv", ".audit", ".git", "node_modules", ".pytest_cache", "downloads", ".data", "site"}
DOCUMENTS = sorted(
    document for document in ROOT.rglob("*.md") if not NOT_OURS.intersection(document.relative_to(ROOT).parts)
)
COMPUTED = {"encode_concurrency": "number of processors"}
METHODS = {"get", "post", "put", "patch", "delete", "head"}

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def page(name: str) -> str:
    """Return the text of a page in `docs/`."""
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def section(name: str, title: str) -> str:
    """Return a page's text below a heading, up to the next one of that level or above."""
    before, heading, after = page(name).partition(f"# {title}\n")
    assert heading, f"{name} has no heading {title!r}"
    level = len(before) - len(before.rstrip("#")) + 1
    return re.split(rf"^#{{1,{level}}} ", after, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of the tables in a text, without their headings."""
    in_body = False
    for line in text.splitlines():
        if in_body and line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]
        else:
            in_body = line.startswith("| ---")


def first_cells(text: str) -> list[str]:
    return [cells[0].strip("`") for cells in rows(text)]


def settings_table() -> list[list[str]]:
    """Return the rows of the page's first table, which is that of the settings."""
    return list(rows(page("settings").split("## ", maxsplit=1)[0]))


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


def test_the_settings_page_lists_every_setting_once() -> None:
    named = [cells[0].strip("`") for cells in settings_table()]
    assert sorted(named) == sorted(name.upper() for name in Settings.model_fields)


def test_the_readme_says_of_a_setting_what_the_settings_page_says() -> None:
    table = {cells[0]: cells[1:] for cells in settings_table()}
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/settings.md#", "](#")
    said = {cells[0]: cells[1:] for cells in rows(readme) if cells[0].strip("`").isupper()}
    assert len(said) == 10
    assert said.items() <= table.items()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_settings_page_gives_the_right_default(name: str) -> None:
    field = Settings.model_fields[name]
    cells = next(cells for cells in settings_table() if cells[0] == f"`{name.upper()}`")
    assert len(cells) == 3
    assert field.default is not PydanticUndefined or name in COMPUTED
    assert understood(name, cells[1]) == written(name, field.default)
    assert cells[2].endswith(".")


@pytest.mark.parametrize("name", SECRETS)
def test_the_settings_page_names_the_file_of_every_secret(name: str) -> None:
    assert f"`{name.upper()}_FILE`" in page("settings")


def test_it_is_said_what_to_do_about_every_error_code() -> None:
    table = {cells[0].strip("`"): cells[1:] for cells in rows(section("errors", "Errors of a download"))}
    assert sorted(table) == sorted(code.value for code in ErrorCode)
    assert all(len(said) == 2 and all(said) for said in table.values())


def test_every_status_of_a_download_is_named() -> None:
    assert all(f"`{status.value}`" in page("api") for status in DownloadStatus)


@pytest.fixture
def document(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The OpenAPI document."""
    monkeypatch.setattr("music_downloader.app.configure_logging", lambda **_: None)
    return create_app(Settings()).openapi()


def test_every_call_is_listed_and_none_else(document: dict[str, Any]) -> None:
    paths = document["paths"]
    calls = {
        f"{method.upper()} {path}" for path, ways in paths.items() for method in METHODS.intersection(ways)
    }
    documented = [cell for cell in first_cells(page("api")) if re.match(r"[A-Z]+ /", cell)]
    assert sorted(documented) == sorted(calls)


def test_every_status_that_a_call_can_refuse_with_is_explained(document: dict[str, Any]) -> None:
    refusals = {
        status
        for ways in document["paths"].values()
        for way in ways.values()
        for status in way["responses"]
        if status >= "400"
    }
    assert refusals <= {
        status
        for cells in rows(section("errors", "Errors of a call"))
        for status in re.findall(r"`(\d{3})`", cells[0])
    }


def test_what_the_troubleshooting_page_quotes_is_what_the_service_says() -> None:
    spoken = " ".join(" ".join(words.split()) for words in said_in_source())
    quotes = re.findall(r"`([^`]+)`", "\n".join(cells[0] for cells in rows(page("troubleshooting")) if cells))
    assert len(quotes) > 40
    for quote in quotes:
        for part in quote.split("…"):
            assert part.strip() in spoken, f"nothing says {part!r}"


def said_in_source() -> Iterator[str]:
    """Yield every text in the service's source; what differs in one is left out of it."""
    for file in (ROOT / "backend" / "src" / "music_downloader").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


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
    assert targets <= {cell.removeprefix("make ") for cell in first_cells(page("commands"))}


def test_every_command_is_listed() -> None:
    rooms = {"": cli, "user ": users, "engine ": engine}
    commands = {
        room + (command.name or command.callback.__name__)
        for room, its in rooms.items()
        for command in its.registered_commands
        if command.callback
    }
    listed = {cell for cell in first_cells(page("commands")) if cell.startswith("nas-music ")}
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


def test_the_site_is_made_of_every_page_and_loads_nothing_from_elsewhere(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("docs", ROOT / "tools" / "docs.py")
    assert spec
    assert spec.loader
    docs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(docs)
    assert docs.main(tmp_path / "site") == 0, capfd.readouterr()  # strictly: a dead link fails
    made = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.html")}
    navigation = (ROOT / "docs" / "site.toml").read_text(encoding="utf-8")
    for path in (ROOT / "docs").glob("**/*.md"):
        page_path = path.relative_to(ROOT).as_posix().replace("README.md", "index.md")
        assert page_path.replace(".md", ".html") in made
        assert path.parent.name == "adr" or f'"{page_path}"' in navigation, f"{page_path} is in no menu"
    (tmp_path / "foreign.html").write_text('<link rel="preconnect" href="https://fonts.example">')
    assert docs.loaded_from_elsewhere(tmp_path) == {"https://fonts.example"}


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub gives to a document's headings."""
    headings = _HEADING.findall(_FENCE.sub("", document.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

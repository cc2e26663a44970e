"""What the log shows, what it hides, and that nobody outside writes a line of it."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from music_downloader.config.logging import configure_logging

log = structlog.stdlib.get_logger("music_downloader.test")
Read = Callable[[], list[dict[str, Any]]]
NAMES = ("", "procrastinate", "alembic", "uvicorn", "uvicorn.error", "uvicorn.access")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(each, each.handlers[:], each.level, each.propagate) for each in loggers]
    configured = structlog.get_config() if structlog.is_configured() else None
    yield
    for each, handlers, level, propagate in before:
        each.handlers[:] = handlers
        each.setLevel(level)
        each.propagate = propagate
    structlog.reset_defaults()
    if configured is not None:
        structlog.configure(**configured)


class Log:
    """What was written to standard error since it was last read."""

    def __init__(self) -> None:
        self._written = io.StringIO()

    def configure(self, *, level: str = "info", log_format: str | None = "json") -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stderr", self._written)
            configure_logging(level=level, log_format=log_format)

    def text(self) -> str:
        text = self._written.getvalue()
        self._written.seek(0)
        self._written.truncate()
        return text

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


def log_failure(why: str, *, logger: Any = log, event: str = "failed") -> None:
    def fail() -> None:
        local = "nobody may see this"
        raise ValueError(why or local)

    try:
        fail()
    except ValueError:
        logger.exception(event)


@pytest.fixture
def written() -> Log:
    return Log()


@pytest.fixture
def lines(written: Log) -> Read:
    """Log as JSON; the function gives every line since it was last called, parsed."""
    written.configure(log_format="json")
    return written.lines


@pytest.fixture
def shown(written: Log) -> Callable[[], str]:
    """Log for people; the function gives the text since it was last called."""
    written.configure(log_format="console")
    return written.text


def test_an_event_is_one_line_of_json_with_its_facts(lines: Read) -> None:
    log.info("download.filed", bytes=12, path="a/b.mp3", ok=True)
    [line] = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "download.filed",
        "level": "info",
        "logger": "music_downloader.test",
        "bytes": 12,
        "path": "a/b.mp3",
        "ok": True,
    }


def test_what_json_cannot_say_is_still_one_line(lines: Read) -> None:
    log.info("odd", thing=object(), raw=b"\xff\n", names={"a"}, error=ValueError("no\nno"))
    [line] = lines()
    assert line["event"] == "odd"


def test_the_standard_library_goes_through_the_same_chain(lines: Read) -> None:
    logging.getLogger("uvicorn.error").info("Serving %s on %d", "postgresql://u:hunter2@db/x", 8000)
    logging.getLogger("some.library").warning("two\nlines")
    serving, two = lines()
    assert serving["event"] == "Serving postgresql://[hidden]@db/x on 8000"
    assert (serving["logger"], serving["level"]) == ("uvicorn.error", "info")
    assert two["event"] == r"two\nlines"


def test_each_event_is_written_once(written: Log) -> None:
    written.configure()
    written.configure()
    log.info("one")
    logging.getLogger("uvicorn").info("two")
    assert [line["event"] for line in written.lines()] == ["one", "two"]


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_is_the_least_that_is_shown(written: Log, level: str, seen: list[str]) -> None:
    written.configure(level=level)
    for each in ("debug", "info", "warning", "error"):
        getattr(log, each)("structured")
    assert [line["level"] for line in written.lines()] == seen
    for each in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger("some.library"), each)("plain")
    assert [line["level"] for line in written.lines()] == seen


def test_a_chatty_library_is_heard_from_warnings_on(lines: Read) -> None:
    for name in ("procrastinate", "procrastinate.worker", "alembic", "uvicorn.access"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("trouble")
    assert [line["event"] for line in lines()] == ["trouble"] * 4


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "new_password",
        "PASSWORD",
        "secret_key",
        "client_secret",
        "Authorization",
        "access_token",
        "set_cookie",
        "database_url",
        "conninfo",
    ],
)
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_what_a_name_gives_away_as_secret_is_hidden(written: Log, log_format: str, name: str) -> None:
    written.configure(log_format=log_format)
    log.info("event", **{name: "hunter2"})
    log.info("event", **{name: {"nested": "hunter2"}})
    logged = written.text()
    assert logged.count("[hidden]") == 2
    assert "hunter2" not in logged


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_credentials_inside_an_address_are_hidden(written: Log, log_format: str) -> None:
    written.configure(log_format=log_format)
    log.info("at socks5://alice:hunter2@proxy:1080/", url="https://alice:hunter2@host/a?b=c", n=1)
    log_failure("postgresql://alice:hunter2@db/x")
    log_failure(
        "postgresql://alice:hunter2@db/x",
        logger=logging.getLogger("some.library"),
        event="failed at https://alice:hunter2@host",
    )
    logged = written.text()
    assert "hunter2" not in logged
    assert "proxy:1080/" in logged
    assert "https://[hidden]@host/a?b=c" in logged


FORGERIES = [
    'x\n{"event": "forged"}',
    "x\r\nforged",
    "x\x0bforged",
    "x\x1b[2J\x1b[31mforged",
    "x\x85forged",
    "x\x9b31mforged",
    "x\u2028forged",
    "x\u2029forged",
    "x\u202egepj.exe",
    "x\u2066forged\u2069",
    "x\x00forged",
    "x\x7fforged",
]


@pytest.mark.parametrize("text", FORGERIES, ids=ascii)
def test_nobody_forges_a_line_of_json(lines: Read, text: str) -> None:
    log.info(text, path=text)
    logging.getLogger("some.library").info("%s", text)
    read = lines()
    assert len(read) == 2
    for line in read:
        assert line["event"].startswith("x\\")
        assert line["event"].isprintable()
    assert read[0]["path"].isprintable()


@pytest.mark.parametrize("text", FORGERIES, ids=ascii)
def test_nobody_forges_or_colours_a_line_for_people(shown: Callable[[], str], text: str) -> None:
    log.info(text, path=text, many=[text])
    said = shown()
    assert said.endswith("\n")
    assert said[:-1].isprintable()


def test_an_exceptions_text_colours_no_terminal(shown: Callable[[], str]) -> None:
    log_failure("x\x1b[2J\x1b[31m\u202eforged")
    said = shown()
    assert "Traceback" in said
    assert not [character for character in said if not character.isprintable() and character != "\n"]


@pytest.mark.parametrize("logger", [log, logging.getLogger("some.library")], ids=["structlog", "standard"])
def test_an_exception_carries_its_traceback(lines: Read, logger: Any) -> None:
    log_failure("why\nit failed", logger=logger)
    [line] = lines()
    assert line["event"] == "failed"
    assert line["level"] == "error"
    assert line["exception"].startswith("Traceback (most recent call last)")
    assert "ValueError: why" in line["exception"]
    assert "exc_info" not in line


def test_an_exception_is_shown_to_people_too(shown: Callable[[], str]) -> None:
    log_failure("why it failed")
    said = shown()
    assert "Traceback" in said
    assert "ValueError: why it failed" in said


def test_a_traceback_shows_no_local_variables(shown: Callable[[], str]) -> None:
    log_failure("why it failed")
    assert "nobody may see this" not in shown()


def test_people_read_words_and_no_json(shown: Callable[[], str]) -> None:
    log.info("download.filed", path="a/b.mp3")
    said = shown()
    assert "download.filed" in said
    assert "path=a/b.mp3" in said
    assert "{" not in said
    assert "\x1b" not in said  # no terminal, no colours


def test_without_a_choice_and_a_terminal_it_is_json(written: Log) -> None:
    written.configure(log_format=None)
    log.info("event")
    assert written.lines()[0]["event"] == "event"


def test_the_request_is_named_in_every_line_that_it_causes(lines: Read) -> None:
    with structlog.contextvars.bound_contextvars(request_id="from-a-test"):
        log.info("structured")
        logging.getLogger("some.library").info("plain")
    log.info("afterwards")
    first, second, after = lines()
    assert first["request_id"] == second["request_id"] == "from-a-test"
    assert "request_id" not in after

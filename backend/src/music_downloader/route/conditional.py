"""Conditional and partial requests, decided purely (RFC 9110, 13 and 14)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from starlette.datastructures import Headers

_MOST_RANGES = 16  # beyond that the whole file costs less than its parts
_TAG = re.compile(r'(?:W/)?("[^"]*")')
_RANGE = re.compile(r"\s*([0-9]{0,100})-([0-9]{0,100})\s*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """What tells one state of a thing from another: a strong ETag in quotes, and a time in whole seconds."""

    etag: str
    modified: datetime | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers that say so."""
        modified = {"Last-Modified": format_datetime(self.modified, usegmt=True)} if self.modified else {}
        return {"ETag": self.etag, **modified}


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Bytes from `start` up to `end`, which isn't among them any more."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


def is_known(headers: Headers, version: Version) -> bool:
    """Whether the client has this version already, so that 304 answers it."""
    given = headers.get("if-none-match")
    if given is not None:
        return given.strip() == "*" or version.etag in _TAG.findall(given)
    since = _time(headers.get("if-modified-since"))
    return since is not None and version.modified is not None and version.modified <= since


def wanted_spans(headers: Headers, version: Version, *, size: int) -> list[Span] | None:
    """Return the parts that are asked for, in order and without overlaps; [] if none of them is there.

    None stands for the whole: without a Range, with one that isn't understood, and when what the client has
    the other parts of (If-Range) is another version.
    """
    asked = headers.get("range")
    if asked is None or not _is_same(headers.get("if-range"), version):
        return None
    unit, _, listed = asked.partition("=")
    parts = listed.split(",")
    if unit.strip().lower() != "bytes" or len(parts) > _MOST_RANGES:
        return None
    spans = []
    for part in parts:
        match = _RANGE.fullmatch(part)
        first, last = match.groups() if match else ("", "")
        if not (first or last) or (first and last and int(last) < int(first)):
            return None
        start = int(first) if first else max(size - int(last), 0)
        end = min(int(last) + 1, size) if first and last else size
        if start < end:
            spans.append(Span(start=start, end=end))
    return _merged(spans)


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(spans, key=lambda each: each.start):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(start=merged[-1].start, end=max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


def _is_same(given: str | None, version: Version) -> bool:
    """Compare an If-Range: a strong ETag, or exactly the time that was told before."""
    return given is None or given.strip() in version.headers.values()


def _time(text: str | None) -> datetime | None:
    try:
        time = parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
    return time.replace(tzinfo=time.tzinfo or UTC) if time else None

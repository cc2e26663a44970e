"""Which parts of a file are asked for: whatever the header says, never more than there is."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from music_downloader.route.conditional import Span, Version, is_known, wanted_spans
from music_downloader.route.disposition import content_disposition

VERSION = Version(etag='"1"', modified=datetime(2026, 1, 1, tzinfo=UTC))
NUMBERS = st.one_of(st.just(""), st.integers(0, 2**63).map(str), st.integers(0, 300).map(str))
RANGES = st.lists(st.tuples(NUMBERS, NUMBERS).map("-".join), max_size=20).map(",".join)
HEADER = st.text(st.characters(max_codepoint=255), max_size=60)


@given(RANGES, st.integers(1, 300))
def test_parts_lie_within_the_file_in_order_and_never_overlap(ranges: str, size: int) -> None:
    spans = wanted_spans(Headers({"range": f"bytes={ranges}"}), VERSION, size=size)
    ends = 0
    for number, span in enumerate(spans or ()):
        assert span.start >= ends + (number > 0)
        assert span.start < span.end <= size
        ends = span.end


@given(HEADER, HEADER, HEADER)
def test_no_header_breaks_the_decision(first: str, second: str, third: str) -> None:
    wanted_spans(Headers({"range": first, "if-range": second}), VERSION, size=100)
    wanted_spans(Headers({"range": f"bytes={first}"}), VERSION, size=100)
    is_known(Headers({"if-none-match": first}), VERSION)
    assert not is_known(Headers({"if-modified-since": third}), Version(etag='"1"'))
    is_known(Headers({"if-modified-since": third}), VERSION)


def test_parts_that_touch_are_sent_as_one() -> None:
    headers = Headers({"range": "bytes=10-19,0-9,30-39"})
    assert wanted_spans(headers, VERSION, size=100) == [Span(start=0, end=20), Span(start=30, end=40)]


@given(st.text(min_size=1, max_size=100))
def test_a_name_can_never_break_out_of_its_header(name: str) -> None:
    value = content_disposition(name, as_attachment=False)
    assert value.isascii()
    assert value.isprintable()
    assert value.count('"') == 2

"""Limits as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_downloader.config.rate import LONGEST_SECONDS, MOST, Rate, parse_rate
from music_downloader.config.settings import load_settings
from music_downloader.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [
        ("10/5 minutes", 10, 300),
        ("20/hour", 20, 3600),
        ("5/30s", 5, 30),
        ("5 / 30 s", 5, 30),
        ("1/1day", 1, 86_400),
        ("3/2 HOURS", 3, 7200),
        (" 7/min ", 7, 60),
        ("7/m", 7, 60),
    ],
)
def test_a_limit_is_a_number_and_a_period(text: str, count: int, seconds: int) -> None:
    assert parse_rate(text) == Rate(count=count, seconds=seconds)


@pytest.mark.parametrize("text", ["off", "OFF", "0", " off "])
def test_off_means_no_limit(text: str) -> None:
    assert parse_rate(text) is None


@pytest.mark.parametrize(
    "text", ["10", "10/", "/hour", "10/5", "-1/hour", "1.5/hour", "10/0s", "0/hour", "10/fortnight",
             "10/31 days", "1000001/hour", "9999999999/hour", "\u0661/hour", "10/hour; DROP", "true"]
)  # fmt: skip
def test_what_is_no_limit_stops_the_start_with_a_sentence(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGIN_LIMIT", text)
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert "LOGIN_LIMIT" in refused.value.detail
    assert "off for none" in refused.value.detail


@given(count=st.integers(1, MOST), seconds=st.integers(1, LONGEST_SECONDS))
def test_a_limit_is_written_as_it_is_read(count: int, seconds: int) -> None:
    rate = Rate(count=count, seconds=seconds)
    assert parse_rate(str(rate)) == rate

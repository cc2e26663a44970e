import pytest

from music_downloader.config.settings import Settings, load_settings
from music_downloader.config.template import DEFAULT_TEMPLATE, FIELDS, Template
from music_downloader.errors import ConfigurationError

KNOWN = dict.fromkeys(FIELDS, "") | {"album_artist": "A", "artist": "A", "title": "T"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{artist}/{album}", "has to hold {title}"),
        ("{title}/{track}", "has to hold {title}"),
        ("{title}/", "has a name"),
        ("/{title}", "none before the first"),
        ("{artist}//{title}", "has a name"),
        ("{artist}/../{title}", "isn't . or .."),
        ("./{title}", "isn't . or .."),
        ("{artist}/ .. /{title}", "isn't . or .."),
        ("{artist}\\{title}", "with / between them"),
        ("C:/{title}", "not every share"),
        ("{title}?", "not every share"),
        ("{title}\x00", "not every share"),
        (".nas-music/{title}", "unfinished downloads"),
        (".NAS-Music/{title}", "unfinished downloads"),
        ("{composer}/{title}", "knows these fields: {album_artist}"),
        ("{Title}", "knows these fields"),
        ("{}/{title}", "knows these fields"),
        ("{title", "stands alone"),
        ("title}{title}", "stands alone"),
        ("[{year} - {title}", "isn't closed"),
        ("[{year}/]{title}", "isn't closed"),
        ("{year}]{title}", "has no \\["),
        ("[[{year}] {album}]{title}", "don't stand in one another"),
        ("[live] {title}", "hold a field"),
        ("a/" * 8 + "{title}", "at most 8 parts"),
        ("a" * 300 + "{title}", "1 to 300 characters"),
    ],
)
def test_a_template_that_cannot_be_used_stops_the_start_with_a_sentence(
    text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=said):
        Template(text)
    if "\x00" not in text:  # no environment holds one
        monkeypatch.setenv("LIBRARY_TEMPLATE", text)
        with pytest.raises(ConfigurationError, match=f"LIBRARY_TEMPLATE: .*{said}"):
            load_settings()


def test_a_template_of_ones_own_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().library_template == DEFAULT_TEMPLATE
    monkeypatch.setenv("LIBRARY_TEMPLATE", " {genre}/{artist} - {title} ")
    assert load_settings().library_template == Template("{genre}/{artist} - {title}")
    monkeypatch.setenv("LIBRARY_TEMPLATE", "")
    assert load_settings().library_template == DEFAULT_TEMPLATE


@pytest.mark.parametrize(
    ("text", "values", "parts"),
    [
        ("{album}/{title}", {}, ("T",)),
        ("{album}/{title}", {"album": "L"}, ("L", "T")),
        ("{album} ({year})/{title}", {"album": "L"}, ("T",)),
        ("{album}[ ({year})]/{title}", {"album": "L"}, ("L", "T")),
        ("{album}[ ({year})]/{title}", {"album": "L", "year": "2001"}, ("L (2001)", "T")),
        ("[{genre}]/{title}", {}, ("T",)),
        ("[{genre}]/{title}", {"genre": "Jazz"}, ("Jazz", "T")),
        (
            "Music/[Disc {disc}]/[{track}. ]{title}",
            {"disc": "2", "track": "2-01"},
            ("Music", "Disc 2", "2-01. T"),
        ),
        ("[{track} {year} ]{title}", {"track": "01"}, ("T",)),
        ("{track} {title}", {}, (" T",)),
        ("[{title}]", {}, ("T",)),
        (str(DEFAULT_TEMPLATE), {}, ("A", "T")),
        (str(DEFAULT_TEMPLATE), {"year": "2001"}, ("A", "T")),
        (str(DEFAULT_TEMPLATE), {"album": "L", "track": "01"}, ("A", "L", "01 - T")),
        (str(DEFAULT_TEMPLATE), {"album": "L", "year": "2001"}, ("A", "2001 - L", "T")),
    ],
)
def test_what_is_empty_leaves_no_trace(text: str, values: dict[str, str], parts: tuple[str, ...]) -> None:
    assert Template(text).render(KNOWN | values) == parts

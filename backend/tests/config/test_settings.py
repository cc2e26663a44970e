"""Every setting: where it is read from, what wins, and what is said about one that can't be used."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from music_downloader.config.settings import SECRETS, Settings, load_settings
from music_downloader.errors import ConfigurationError

GIB = 1024**3
SECRET = "hunter2-never-tell"
VALID_SECRETS = {
    "secret_key": "0123456789abcdef" * 4,
    "database_url": "postgresql://music:a-word@db.example/music",
    "admin_password": "correct horse battery",
    "download_proxy": "socks5://music:a-word@proxy.example:1080",
    "metrics_token": "0123456789abcdef",
}


def refusal(**proposed: Any) -> str:
    """Return what is said when the settings can't be loaded."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(proposed)
    return caught.value.detail


def secret(settings: Settings, name: str) -> str:
    return getattr(settings, name).get_secret_value()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("output_directory", Path("/app/downloads")),
        ("data_directory", Path("/app/data")),
        ("debug", False),
        ("access_token_expire_minutes", 30),
        ("registration", "open"),
        ("log_level", "info"),
        ("log_format", None),
        ("audio_format", "best"),
        ("worker_concurrency", 2),
        ("embedded_worker", True),
        ("max_file_size", 2 * GIB),
        ("max_duration", 12 * 3600),
        ("max_collection_items", 1000),
        ("download_timeout", 3600),
        ("min_free_space", GIB),
        ("max_active_per_user", 500),
        ("allowed_networks", ()),
        ("download_proxy", None),
        ("trusted_proxies", ()),
        ("cors_origins", ()),
        ("root_path", ""),
        ("host", "0.0.0.0"),  # noqa: S104 - the default of a service that is meant to be reached
        ("port", 8000),
        ("admin_username", None),
        ("admin_email", None),
        ("admin_password", None),
    ],
)
def test_what_nobody_sets_has_its_documented_default(name: str, value: object) -> None:
    assert getattr(load_settings(), name) == value


def test_the_default_database_and_key_are_the_documented_placeholders() -> None:
    settings = load_settings()
    assert secret(settings, "secret_key") == "your-secret-key-change-in-production"
    assert (
        secret(settings, "database_url")
        == "postgresql://postgres:password@localhost:5432/nas_music_downloader"
    )
    assert settings.names_a_database is False


@pytest.mark.parametrize(
    ("variable", "written", "value"),
    [
        ("MAX_FILE_SIZE", "2GiB", 2 * GIB),
        ("MAX_FILE_SIZE", "500MB", 500_000_000),
        ("MAX_FILE_SIZE", "500 MiB", 500 * 1024**2),
        ("MAX_FILE_SIZE", "1048576", 1024**2),
        ("MIN_FREE_SPACE", "0", 0),
        ("MAX_DURATION", "12h", 43_200),
        ("MAX_DURATION", "1.5h", 5400),
        ("DOWNLOAD_TIMEOUT", "90s", 90),
        ("DOWNLOAD_TIMEOUT", "90", 90),
        ("DOWNLOAD_TIMEOUT", "5 m", 300),
        ("DOWNLOAD_TIMEOUT", "1D", 86_400),
        ("UMASK", "022", 0o022),
        ("UMASK", "0002", 0o002),
        ("UMASK", "", None),
        ("LOG_LEVEL", "WARNING", "warning"),
        ("DEBUG", "yes", True),
        ("EMBEDDED_WORKER", "0", False),
        ("AUDIO_FORMAT", "flac", "flac"),
        ("CORS_ORIGINS", "https://a.example, https://b.example", ("https://a.example", "https://b.example")),
        ("CORS_ORIGINS", "https://A.example:8443/", ("https://a.example:8443",)),
        ("ROOT_PATH", "/music", "/music"),
        ("ROOT_PATH", "/apps/music.v1/", "/apps/music.v1"),
        ("ROOT_PATH", "/", ""),
    ],
)
def test_values_are_read_as_people_write_them(
    monkeypatch: pytest.MonkeyPatch, variable: str, written: str, value: object
) -> None:
    monkeypatch.setenv(variable, written)
    assert getattr(load_settings(), variable.lower()) == value


@pytest.mark.parametrize("variable", ["ALLOWED_NETWORKS", "TRUSTED_PROXIES"])
@pytest.mark.parametrize(
    ("written", "networks"),
    [
        ("10.0.0.0/8", ["10.0.0.0/8"]),
        ("10.0.0.0/8,fd00::/8", ["10.0.0.0/8", "fd00::/8"]),
        (" 192.168.1.7  172.16.0.0/12 ", ["192.168.1.7/32", "172.16.0.0/12"]),
        ("192.168.1.7/24", ["192.168.1.0/24"]),
        (",", []),
    ],
)
def test_networks_are_a_list_of_cidrs_or_addresses(
    monkeypatch: pytest.MonkeyPatch, variable: str, written: str, networks: list[str]
) -> None:
    monkeypatch.setenv(variable, written)
    assert getattr(load_settings(), variable.lower()) == tuple(map(ip_network, networks))


def test_folders_are_absolute_whatever_was_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("OUTPUT_DIRECTORY", "music")
    monkeypatch.setenv("DATA_DIRECTORY", "~/data")
    settings = load_settings()
    assert settings.output_directory == tmp_path / "music"
    assert settings.data_directory == Path("/home/somebody/data")


def test_dotenv_is_read_from_the_working_directory() -> None:
    Path(".env").write_text('PORT=9000\nSECRET_KEY="a key, quoted"\n# a remark\nSOMETHING_ELSE=1\n')
    settings = load_settings()
    assert settings.port == 9000
    assert secret(settings, "secret_key") == "a key, quoted"


def test_the_environment_wins_over_dotenv_and_both_over_what_the_code_proposes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proposed = {"port": 1, "host": "proposed", "root_path": "/proposed"}
    Path(".env").write_text("PORT=2\nHOST=dotenv\n")
    monkeypatch.setenv("PORT", "3")
    settings = load_settings(proposed)
    assert (settings.port, settings.host, settings.root_path) == (3, "dotenv", "/proposed")


def test_a_lower_case_variable_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("port", "9000")
    assert load_settings().port == 9000


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name != "encode_concurrency"])
def test_an_empty_variable_is_as_if_unset(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    unset = load_settings()
    monkeypatch.setenv(name.upper(), "")
    assert getattr(load_settings(), name) == getattr(unset, name)


def test_an_empty_variable_leaves_dotenv_and_proposals_their_say(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("PORT=2\nHOST=\n")
    monkeypatch.setenv("PORT", "")
    monkeypatch.setenv("DATABASE_URL", "")
    settings = load_settings({"host": "proposed"})
    assert (settings.port, settings.host) == (2, "proposed")
    assert settings.names_a_database is False


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_can_come_from_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "secret"
    file.write_text(VALID_SECRETS[name] + "\n")
    Path(".env").write_text(f"{name.upper()}=postgresql://dotenv/{name}\n")
    monkeypatch.setenv(f"{name.upper()}_FILE", str(file))
    assert secret(load_settings(), name) == VALID_SECRETS[name]


def test_the_variable_itself_wins_over_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("of the file")
    monkeypatch.setenv("SECRET_KEY_FILE", str(file))
    monkeypatch.setenv("SECRET_KEY", "of the variable")
    assert secret(load_settings(), "secret_key") == "of the variable"


def test_dotenv_may_name_the_file_too(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the file\n")
    Path(".env").write_text(f"SECRET_KEY_FILE={tmp_path / 'secret'}\nSECRET_KEY=of dotenv\n")
    assert secret(load_settings(), "secret_key") == "of the file"


def test_an_empty_file_variable_is_as_if_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY_FILE", "")
    assert secret(load_settings(), "secret_key") == "your-secret-key-change-in-production"


@pytest.mark.parametrize("name", SECRETS)
def test_a_missing_secret_file_is_one_sentence_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv(f"{name.upper()}_FILE", str(tmp_path / "absent"))
    assert refusal() == f"{name.upper()}_FILE can't be read: No such file or directory."


def test_a_secret_file_that_is_no_text_is_said_so_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"\xff\xfe" + SECRET.encode())
    monkeypatch.setenv("SECRET_KEY_FILE", str(file))
    said = refusal()
    assert "SECRET_KEY_FILE" in said
    assert SECRET not in said


def test_a_dotenv_that_is_no_text_is_one_sentence() -> None:
    Path(".env").write_bytes(b"SECRET_KEY=\xff\xfe" + SECRET.encode())
    said = refusal()
    assert ".env" in said
    assert SECRET not in said


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+asyncpg"])
def test_every_way_to_write_a_postgres_address_goes_through_psycopg(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv(
        "DATABASE_URL", f"{scheme}://music:p%40ss%2Fword@db.example:6543/songs?sslmode=require"
    )
    settings = load_settings()
    assert settings.names_a_database is True
    assert settings.sqlalchemy_url.drivername == "postgresql+psycopg"
    assert settings.sqlalchemy_url.password == "p@ss/word"
    assert conninfo_to_dict(settings.conninfo) == {
        "user": "music",
        "password": "p@ss/word",
        "host": "db.example",
        "port": "6543",
        "dbname": "songs",
        "sslmode": "require",
    }


def test_a_database_behind_a_unix_socket_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://music@/songs?host=/run/postgresql")
    known = conninfo_to_dict(load_settings().conninfo)
    assert known == {"user": "music", "dbname": "songs", "host": "/run/postgresql"}


@pytest.mark.parametrize(
    "address",
    [
        f"mysql://music:{SECRET}@db/songs",
        f"sqlite:///{SECRET}.db",
        SECRET,
        f"postgresql:/{SECRET}",
        f"postgresql://music:{SECRET}@db:port/songs",
        f"postgresqlx://music:{SECRET}@db/songs",
    ],
)
def test_what_is_no_postgres_address_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", address)
    said = refusal()
    assert "DATABASE_URL" in said
    assert "postgresql://" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("variable", "written"),
    [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("DEBUG", "perhaps"),
        ("REGISTRATION", "ajar"),
        ("UMASK", "27"),  # what YAML makes of 033
        ("UMASK", "0777"),
        ("UMASK", "u=rwx"),
        ("LOG_LEVEL", "chatty"),
        ("LOG_FORMAT", "prose"),
        ("AUDIO_FORMAT", "wax-cylinder"),
        ("WORKER_CONCURRENCY", "0"),
        ("WORKER_CONCURRENCY", "two"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "0"),
        ("MAX_FILE_SIZE", "plenty"),
        ("MAX_FILE_SIZE", "0"),
        ("MIN_FREE_SPACE", "-5"),
        ("MAX_DURATION", "a while"),
        ("MAX_DURATION", "0s"),
        ("DOWNLOAD_TIMEOUT", "-3m"),
        ("MAX_ACTIVE_PER_USER", "0"),
        ("ALLOWED_NETWORKS", "10.0.0.0/99"),
        ("ALLOWED_NETWORKS", "the-cellar"),
        ("TRUSTED_PROXIES", "127.0.0.1, the-attic"),
        ("TRUSTED_PROXIES", "0.0.0.0/0"),
        ("TRUSTED_PROXIES", "10.0.0.0/8 ::/0"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://a.example, *"),
        ("CORS_ORIGINS", "the-attic.example"),
        ("CORS_ORIGINS", "https://a.example/page"),
        ("CORS_ORIGINS", "https://user@a.example"),
        ("CORS_ORIGINS", "ftp://a.example"),
        ("CORS_ORIGINS", "null"),
        ("ROOT_PATH", "attic"),
        ("ROOT_PATH", "/at tic"),
        ("ROOT_PATH", "//evil.example"),
        ("ROOT_PATH", "/music/../admin"),
        ("ROOT_PATH", "https://evil.example/music"),
        ("ROOT_PATH", '/"><script>'),
        ("ROOT_PATH", "/müsic"),
        ("ROOT_PATH", "/" + "x" * 300),
        ("METRICS_TOKEN", "fifteen-letters"),
        ("METRICS_TOKEN", "no spaces or \u00fcmlauts here"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://collector:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:0"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://music:hunter2@collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/v1/traces"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/#x"),
        ("DOWNLOAD_PROXY", "proxy.example:1080"),
        ("DOWNLOAD_PROXY", "ftp://proxy.example"),
        ("DOWNLOAD_PROXY", "socks4://proxy.example"),
        ("DOWNLOAD_PROXY", "http:///"),
        ("DOWNLOAD_PROXY", "http://music:hunter2@:1080"),
        ("DOWNLOAD_PROXY", "http://proxy.example:99999"),
        ("DOWNLOAD_PROXY", "http://proxy.example:0"),
        ("DOWNLOAD_PROXY", "http://proxy.example/path"),
        ("DOWNLOAD_PROXY", "http://proxy .example"),
        ("DOWNLOAD_PROXY", "http://[::1"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_the_variable_and_not_the_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, written: str
) -> None:
    monkeypatch.setenv(variable, written)
    said = refusal()
    assert said.startswith("The configuration can't be used. ")
    assert f"{variable}: " in said
    assert "\n" not in said
    assert said.endswith(".")
    if not written.lstrip("-").isdigit():  # a bound may have the same digits
        assert written not in said
        assert written.rpartition(" ")[2] not in said.partition(": ")[2]


def test_every_bad_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "eighty")
    monkeypatch.setenv("REGISTRATION", "ajar")
    said = refusal()
    assert "PORT" in said
    assert "REGISTRATION" in said


def test_settings_printed_or_logged_show_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VALID_SECRETS.items():
        monkeypatch.setenv(name.upper(), value)
    shown = repr(load_settings()) + str(load_settings().model_dump())
    assert not [name for name, value in VALID_SECRETS.items() if value in shown]
    assert "a-word" not in shown


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
def test_a_proxy_keeps_its_credentials_to_itself(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    written = f"{scheme}://music:{SECRET}@[fd00::1]:1080"
    monkeypatch.setenv("DOWNLOAD_PROXY", written)
    settings = load_settings()
    assert settings.proxy_url == written
    assert SECRET not in repr(settings) + str(settings.model_dump())


@pytest.mark.parametrize(
    "address", ["sock5://music:{}@proxy", "http://music:{}@proxy:port", "music:{}@proxy:1"]
)
def test_what_is_no_proxy_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("DOWNLOAD_PROXY", address.format(SECRET))
    said = refusal()
    assert "DOWNLOAD_PROXY" in said
    assert SECRET not in said


@pytest.mark.parametrize(("debug", "level", "least"), [(True, "error", "debug"), (False, "error", "error")])
def test_debug_logs_everything_whatever_the_level(debug: bool, level: str, least: str) -> None:
    assert load_settings({"debug": debug, "log_level": level}).least_level == least


def test_settings_never_change_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 1

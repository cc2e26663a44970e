"""Every setting: its name in the environment, its default and its bounds."""

import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    InstanceOf,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from music_downloader.config.address import check_collector, check_origins, check_proxy, check_root_path
from music_downloader.config.audio import AudioFormat
from music_downloader.config.rate import Rate, parse_rate
from music_downloader.config.template import DEFAULT_TEMPLATE, Template
from music_downloader.config.units import parse_duration, parse_umask
from music_downloader.errors import ConfigurationError

PLACEHOLDER_SECRET_KEY = "your-secret-key-change-in-production"  # noqa: S105 - never signs anything
DEFAULT_DATABASE_URL = "postgresql://postgres:password@localhost:5432/nas_music_downloader"
SECRETS = ("secret_key", "database_url", "admin_password", "download_proxy", "metrics_token")
_DRIVER = "postgresql+psycopg"
_SECRET_FILE_LIMIT = 64 * 1024
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}")  # what RFC 6750 lets a bearer token be made of

_Networks = tuple[IPv4Network | IPv6Network, ...]
Duration = Annotated[float, BeforeValidator(parse_duration), Field(gt=0)]


def _split(value: object) -> object:
    return [part for part in value.replace(",", " ").split() if part] if isinstance(value, str) else value


def _networks(value: object) -> object:
    parts = _split(value)
    if not isinstance(parts, list):
        return parts
    try:
        return tuple(ip_network(part, strict=False) for part in parts)
    except ValueError:
        raise ValueError("write networks like 192.168.0.0/16 or fd00::/8, with commas between") from None


def _some(networks: _Networks) -> _Networks:
    if any(network.prefixlen == 0 for network in networks):
        raise ValueError(
            "name the proxies' own addresses; with all of them trusted, anybody can lie about theirs"
        )
    return networks


Networks = Annotated[_Networks, NoDecode, BeforeValidator(_networks)]
Limit = Annotated[InstanceOf[Rate] | None, NoDecode, BeforeValidator(parse_rate)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(check_origins)]
FilingTemplate = Annotated[InstanceOf[Template], NoDecode, BeforeValidator(Template.read)]


class Settings(BaseSettings):
    """The whole configuration, read from the environment, then `.env`, then the defaults below."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True, frozen=True
    )

    database_url: SecretStr = SecretStr(DEFAULT_DATABASE_URL)
    secret_key: SecretStr = SecretStr(PLACEHOLDER_SECRET_KEY)
    output_directory: Path = Path("/app/downloads")
    data_directory: Path = Path("/app/data")
    umask: Annotated[int, BeforeValidator(parse_umask)] | None = None
    debug: bool = False
    access_token_expire_minutes: int = Field(default=30, ge=1, le=60 * 24 * 365)
    registration: Literal["open", "closed"] = "open"
    login_limit: Limit = Rate(count=10, seconds=300)
    registration_limit: Limit = Rate(count=20, seconds=3600)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] | None = None
    audio_format: AudioFormat = AudioFormat.BEST
    library_template: FilingTemplate = DEFAULT_TEMPLATE
    worker_concurrency: int = Field(default=2, ge=1, le=64)
    encode_concurrency: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=64)
    embedded_worker: bool = True
    max_file_size: ByteSize = Field(default=ByteSize(2 * 1024**3), gt=0)
    max_duration: Duration = 12 * 3600.0
    max_collection_items: int = Field(default=1000, ge=1, le=100_000)
    download_timeout: Duration = 3600.0
    min_free_space: ByteSize = Field(default=ByteSize(1024**3), ge=0)
    max_active_per_user: int = Field(default=500, ge=1)
    retry_delay: Duration = 2.0
    shutdown_grace: Annotated[float, BeforeValidator(parse_duration), Field(ge=0, le=3600)] = 5.0
    max_per_host: int = Field(default=2, ge=1, le=64)
    replaygain: bool = True
    engine_updates: Literal["off", "stable", "nightly"] = "stable"
    allowed_networks: Networks = ()
    download_proxy: SecretStr | None = None
    trusted_proxies: Annotated[Networks, AfterValidator(_some)] = ()
    cors_origins: Origins = ()
    root_path: Annotated[str, AfterValidator(check_root_path)] = ""
    host: str = "0.0.0.0"  # noqa: S104 - a service on a NAS is meant to be reached
    port: int = Field(default=8000, ge=0, le=65535)
    admin_username: str | None = None
    admin_email: str | None = None
    admin_password: SecretStr | None = None
    metrics_token: SecretStr | None = None
    otel_exporter_otlp_endpoint: Annotated[str | None, AfterValidator(check_collector)] = None

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _names_postgres(cls, value: SecretStr) -> SecretStr:
        try:
            backend = make_url(value.get_secret_value()).get_backend_name()
        except (ArgumentError, ValueError):
            backend = ""
        if backend not in {"postgresql", "postgres"}:
            raise ValueError("write it as postgresql://user:password@host:5432/database")
        return value

    @field_validator("download_proxy")
    @classmethod
    def _is_a_proxy(cls, value: SecretStr | None) -> SecretStr | None:
        return value and SecretStr(check_proxy(value.get_secret_value()))

    @field_validator("metrics_token")
    @classmethod
    def _is_a_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _TOKEN.fullmatch(value.get_secret_value()):
            raise ValueError(
                "write 16 to 512 letters, digits or - . _ ~ + / =, for instance from: openssl rand -hex 32"
            )
        return value

    @field_validator("output_directory", "data_directory")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @property
    def least_level(self) -> str:
        """What is logged from: DEBUG asks for everything."""
        return "debug" if self.debug else self.log_level

    @property
    def proxy_url(self) -> str | None:
        """DOWNLOAD_PROXY as it was written, credentials included."""
        return self.download_proxy.get_secret_value() if self.download_proxy else None

    @property
    def sqlalchemy_url(self) -> URL:
        """The database's address for SQLAlchemy, always through psycopg 3."""
        return make_url(self.database_url.get_secret_value()).set(drivername=_DRIVER)

    @property
    def conninfo(self) -> str:
        """The database's address for libpq."""
        return self.sqlalchemy_url.set(drivername="postgresql").render_as_string(hide_password=False)

    @property
    def names_a_database(self) -> bool:
        """Whether the operator brought a PostgreSQL of their own."""
        return "database_url" in self.model_fields_set

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put what the code itself proposes last: anything the operator says wins."""
        del file_secret_settings
        dotenv = dotenv_settings.env_vars if isinstance(dotenv_settings, DotEnvSettingsSource) else {}
        return env_settings, SecretFiles(settings_cls, dotenv), dotenv_settings, init_settings


class SecretFiles(PydanticBaseSettingsSource):
    """Reads `NAME_FILE` for every secret, as Docker and Kubernetes hand secrets over.

    It comes after the environment's own NAME and before anything else, wherever NAME_FILE itself stands.
    """

    def __init__(self, settings_cls: type[BaseSettings], dotenv: Mapping[str, str | None]) -> None:
        super().__init__(settings_cls)
        self._dotenv = dotenv

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the content of the file that NAME_FILE names, without its trailing newline."""
        del field
        variable = f"{field_name.upper()}_FILE"
        path = os.environ.get(variable) or self._dotenv.get(variable.lower())
        if not path:
            return None, field_name, False
        try:
            with Path(path).open(encoding="utf-8") as file:
                return file.read(_SECRET_FILE_LIMIT).rstrip("\r\n"), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it isn't text"
            raise ConfigurationError(f"{variable} can't be read: {reason}.") from error

    def __call__(self) -> dict[str, Any]:
        """Return every secret that has a file."""
        fields = self.settings_cls.model_fields
        found = {name: self.get_field_value(fields[name], name)[0] for name in SECRETS}
        return {name: value for name, value in found.items() if value is not None}


def load_settings(proposed: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings; `proposed` fills what the operator left open.

    Raises ConfigurationError with one sentence a person can act on, and never a value that may be secret.
    """
    try:
        return Settings(**(proposed or {}))
    except ValidationError as error:
        sentences = [
            f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors(include_url=False, include_input=False)
        ]
        raise ConfigurationError("The configuration can't be used. " + "; ".join(sentences) + ".") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it isn't text"
        raise ConfigurationError(f".env can't be read: {reason}.") from error

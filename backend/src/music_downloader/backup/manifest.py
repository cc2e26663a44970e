"""What a backup says about itself."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

FORMAT = 1
KEY_MEMBER = "secret.key"
MANIFEST_MEMBER = "manifest.json"
MANIFEST_LIMIT = 1024 * 1024
_Name = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Part(BaseModel):
    """One member of the archive: its size in bytes, and its SHA-256."""

    model_config = ConfigDict(frozen=True)

    size: int = Field(ge=0)
    sha256: _Digest


class TablePart(Part):
    """The rows of one table. `sequences` are the last numbers given out, by column."""

    name: _Name
    columns: list[_Name] = Field(min_length=1)
    rows: int = Field(ge=0)
    sequences: dict[_Name, int] = {}

    @property
    def member(self) -> str:
        """Its name in the archive."""
        return f"tables/{self.name}"


class Format(BaseModel):
    """The part of a manifest that every version can read."""

    format: int = Field(ge=1)
    service: str = Field(max_length=50)


class Manifest(Format):
    """What is in an archive, as of one moment."""

    revision: str = Field(max_length=32)
    made_at: datetime
    postgresql: str = Field(max_length=100)
    tables: list[TablePart] = Field(max_length=100)
    key: Part | None = None

    @property
    def parts(self) -> dict[str, Part]:
        """Every member but the manifest itself, by name."""
        parts: dict[str, Part] = {table.member: table for table in self.tables}
        return parts | ({KEY_MEMBER: self.key} if self.key else {})

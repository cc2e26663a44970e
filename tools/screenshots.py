"""Take pictures of every page into docs/screenshots: light and dark, at a desk and on a phone.

All in them is made here: a few albums of tones with drawn covers, a service and a source on the loopback.
"""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rig
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

PICTURES = rig.TOOLS.parent / "docs" / "screenshots"
HUES = (("0x3b2a6b", "0xd86f8a"), ("0x0f4c5c", "0xe8b04a"), ("0x1f6f54", "0xc9e265"))
ALBUMS = (
    ("The Loopbacks", "Songs from Nowhere", 2021, ("First Light", "Noon", "Long Shadows", "Last Train Home")),
    ("Vera Lindqvist", "Harbour Lights", 2019, ("Salt", "Breakwater", "Two Lanterns")),
    ("Quiet Machines", "Low Power State", 2024, ("Idle", "Wake on LAN", "Parity", "Scrub", "Spin-up")),
)
HOUSEHOLD = ("ben", "carla")
SLOW = 150_000  # bytes a second, so that something is still on its way
SCREENS = {
    "desk": {"viewport": {"width": 1280, "height": 860}},
    "phone": {
        "viewport": {"width": 360, "height": 740},
        "is_mobile": True,
        "has_touch": True,
        "device_scale_factor": 2,
    },
}
PAGES = {
    "download": "",
    "history": "history",
    "account": "account",
    "health": "admin/health",
    "users": "admin/users",
    "downloads": "admin/downloads",
    "audit": "admin/audit",
}
PATIENCE = 120
ADMIN = {f"admin_{name}": value for name, value in rig.USER.items()}


def main() -> int:
    """Make the music, let it be downloaded, and take the pictures."""
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir(parents=True)
    with rig.temporary_folder() as folder:
        music = folder / "music"
        music.mkdir()
        make_music(music)
        with (
            rig.source(music) as source,
            rig.source(music, rate=SLOW) as slow,
            rig.service(folder / "service", **ADMIN) as service,
            rig.Api(service.address) as api,
            sync_playwright() as playwright,
            browser(playwright) as chromium,
        ):
            write_pages(music, source, slow)
            for name, screen in SCREENS.items():
                for scheme in ("light", "dark"):
                    context = chromium.new_context(
                        base_url=service.address, color_scheme=scheme, locale="en-GB", **screen
                    )
                    take(context, f"{name}-{scheme}", api, source=source, slow=slow)
                    context.close()
    print(f"{len(list(PICTURES.iterdir()))} pictures are in {PICTURES}")
    return 0


@contextmanager
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Start Chromium: the system's, or the one that the setup has unpacked."""
    unpacked = rig.BIN.parent / "debian" / "bin" / "chromium"
    path = shutil.which("chromium") or str(unpacked)
    chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
    try:
        yield chromium
    finally:
        chromium.close()


def make_music(folder: Path) -> None:
    """Make the albums' tracks, covers and pages, and one long mix."""
    for number, (artist, album, year, titles) in enumerate(ALBUMS):
        one, other = HUES[number]
        drawing = f"gradients=s=800x800:d=1:c0={one}:c1={other}:x0=0:y0=0:x1=800:y1=800:nb_colors=2"
        rig.ffmpeg("-f", "lavfi", "-i", drawing, "-frames:v", "1", folder / f"{number}.jpg")
        for track, title in enumerate(titles, 1):
            facts = {"artist": artist, "title": title, "album": album, "date": year, "track": track}
            tone(folder / f"{number}-{track}.mp3", seconds=150 + 23 * track, **facts)
    tone(folder / "mix.mp3", seconds=2400, artist="DJ Loop", title="A Long Night")


def tone(path: Path, *, seconds: int, **facts: object) -> None:
    """Make a file that is quickly made."""
    metadata = [part for name, value in facts.items() for part in ("-metadata", f"{name}={value}")]
    sound = f"sine=frequency=220:duration={seconds}"
    rig.ffmpeg("-f", "lavfi", "-i", sound, "-c:a", "libmp3lame", "-b:a", "128k", *metadata, path)


def write_pages(folder: Path, source: str, slow: str) -> None:
    """Write what a band's own page may look like; one of their links is dead."""
    for number, (artist, album, year, titles) in enumerate(ALBUMS):
        address = slow if number == len(ALBUMS) - 1 else source
        names = [f"{number}-{track}.mp3" for track in range(1, len(titles) + 1)]
        names += ["gone.mp3"] if number == 1 else []
        players = "".join(f'<audio controls src="{address}/{name}"></audio>' for name in names)
        (folder / f"{number}.html").write_text(
            f"<!doctype html><title>{artist} - {album} ({year})</title>"
            f'<meta property="og:image" content="{address}/{number}.jpg">{players}',
            encoding="utf-8",
        )


def submit_all(api: rig.Api, *, source: str, slow: str) -> None:
    """Hand everything in, once; wait until what is quick has landed."""
    for name in HOUSEHOLD:
        other = {"username": name, "email": f"{name}@example.org", "password": rig.USER["password"]}
        api.call("POST", "/auth/register", other).expect(201)
    api.log_in()
    quick = [api.submit(f"{source}/{name}") for name in ("0.html", "1.html", "nowhere.mp3", "2-2.mp3")]
    for download_id in quick:
        api.await_end(download_id, every=0.3, within=PATIENCE)
    for name in ("2.html", "mix.mp3"):
        api.submit(f"{slow}/{name}")
    time.sleep(3)


def take(context: BrowserContext, kind: str, api: rig.Api, *, source: str, slow: str) -> None:
    """Take the pictures of one kind; the first time, let there be something to see."""
    page = context.new_page()
    page.goto("/ui/register")
    page.get_by_label("Username").wait_for()
    shoot(page, f"register-{kind}")
    page.goto("/ui/")
    page.get_by_label("Username or email").fill(rig.USER["username"])
    shoot(page, f"sign-in-{kind}")
    page.get_by_label("Password", exact=True).fill(rig.USER["password"])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Links to download").wait_for()
    if api.token is None:
        page.get_by_text("Nothing in the queue").wait_for()
        shoot(page, f"empty-{kind}")
        submit_all(api, source=source, slow=slow)
    for name, path in PAGES.items():
        page.goto(f"/ui/{path}")
        page.get_by_role("main").wait_for()
        if name == "history":
            if "phone" in kind:  # there is room for one album
                page.get_by_role("searchbox").fill("loopbacks")
                page.get_by_text("1 download").wait_for()
            page.get_by_role("button", name="Show the tracks of Songs from Nowhere").click()
            page.get_by_role("button", name="Play Noon").click()
            page.get_by_role("button", name="Pause", exact=True).wait_for()
        shoot(page, f"{name}-{kind}")


def shoot(page: Page, name: str) -> None:
    """Take one picture once nothing moves any more."""
    page.get_by_label("Loading …").first.wait_for(state="detached")
    page.wait_for_timeout(900)
    page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")


if __name__ == "__main__":
    sys.exit(main())

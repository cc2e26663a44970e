"""How the page behaves towards people: for everybody, on every screen, and when things go wrong."""

import json
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Route, expect
from tests import media
from tests.page.browsing import DESK_SIZE, PHONE, PHONE_SIZE, Visitor, call
from tests.page.conftest import Visit
from tests.source import Source

from music_downloader.route.page import FOLDER

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGES = ("", "history", "account", "admin/health", "admin/users", "admin/downloads", "admin/audit")
OTHERWISE_ON_PHONES = ("/ui/", "users")
FIRST_LOAD_LIMIT = 200_000
ROWS = 500


async def test_no_page_has_a_grave_fault_for_people_who_cannot_see_or_use_a_mouse(
    visit: Visit, sources: Source
) -> None:
    """Phones get other elements on few pages, the dark only other colours: so less is asked about those."""
    still = {**PHONE, "reduced_motion": "reduce"}  # no colour on its way to another
    outside, visitor = await visit(None, **still), await visit("admin", **still)
    faults = []

    async def look(someone: Visitor) -> None:
        page = someone.page
        await page.set_viewport_size(DESK_SIZE)
        faults.extend(await someone.grave_faults())
        await page.set_viewport_size(PHONE_SIZE)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
        if page.url.endswith(OTHERWISE_ON_PHONES):
            faults.extend(await someone.grave_faults())
        await _turn(someone, "dark")
        faults.extend(await someone.grave_faults("color-contrast"))
        await _turn(someone, "light")

    await visitor.open()
    song = sources.file("/axe.mp3", media.make("mp3", title="For Everybody", artist="All"))
    await visitor.submit(song, sources.status("/axe-gone.mp3", 404))
    await outside.open("sign-in")
    for path, ready in (("sign-in", "Sign in"), ("register", "Create account")):
        await _go(outside, path)
        await expect(outside.button(ready)).to_be_visible()
        await look(outside)
    await expect(visitor.row("axe-gone.mp3")).to_contain_text("Open the link", timeout=60_000)
    await visitor.button("Play For Everybody").first.click()
    for path in PAGES:
        await _go(visitor, path)
        await _is_ready(visitor, path)
        await look(visitor)
    await _go(visitor, "")
    await visitor.button("More about For Everybody").first.click()
    await visitor.page.get_by_role("menuitem", name="Remove …").click()
    await expect(visitor.page.get_by_role("dialog")).to_be_visible()
    await look(visitor)
    assert faults == []


async def _turn(visitor: Visitor, scheme: Literal["light", "dark"]) -> None:
    await visitor.page.emulate_media(color_scheme=scheme)
    await expect(visitor.page.locator("html")).to_have_attribute("data-mantine-color-scheme", scheme)


async def _go(visitor: Visitor, path: str) -> None:
    await visitor.page.evaluate(f"history.pushState(null, '', '/ui/{path}')")


async def _is_ready(visitor: Visitor, path: str) -> None:
    words = {"": "Finished lately", "admin/health": "Queue and worker", "admin/users": "Last sign-in"}
    words |= {"account": "Change your password", "admin/audit": "Outcome"}
    await expect(visitor.page.get_by_text(words.get(path, "For Everybody")).first).to_be_attached()
    await expect(visitor.page.get_by_label("Loading …")).to_have_count(0)


async def test_the_keyboard_leads_everywhere(visit: Visit, sources: Source) -> None:
    visitor = await visit("typist")
    page = visitor.page
    await visitor.open("history")
    await expect(page.get_by_text("Nothing here yet")).to_be_visible()
    await page.keyboard.press("/")
    box = page.get_by_label("Links to download")
    await expect(box).to_be_focused()
    await page.keyboard.type(sources.status("/typed.mp3", 404))
    await page.keyboard.press("Enter")
    row = visitor.row("typed.mp3")
    await expect(row).to_contain_text("Open the link", timeout=60_000)
    await row.get_by_role("button", name="More about").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("menuitem", name="Details")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(row.get_by_role("button", name="More about")).to_be_focused()
    await page.goto("/ui/")
    await expect(box).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


async def test_a_lost_connection_is_told_and_made_up_for(visit: Visit, sources: Source) -> None:
    visitor = await visit("commuter")
    page = visitor.page
    await visitor.open()
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    url = sources.file("/tunnel.mp3", media.make("mp3", title="Through the Tunnel", artist="Rail"))
    await visitor.context.set_offline(True)
    await expect(page.get_by_text("Connection lost")).to_be_visible()
    call(visitor.address, visitor.token, "POST", "/api/download", url=url)
    await visitor.context.set_offline(False)
    await expect(visitor.row("Through the Tunnel")).to_contain_text("Rail", timeout=60_000)
    await expect(page.get_by_text("Connection lost")).to_have_count(0)


async def test_five_hundred_rows_are_as_quick_as_five_and_lead_from_page_to_page(visit: Visit) -> None:
    visitor = await visit("hoarder")
    page = visitor.page

    async def crowd(route: Route) -> None:
        asked = parse_qs(urlsplit(route.request.url).query)
        [number], [size] = map(int, asked["page"]), map(int, asked["per_page"])
        ids = range(ROWS - (number - 1) * size, ROWS - number * size, -1)
        body = {"downloads": [_waiting(id_) for id_ in ids], "total": ROWS, "page": number, "per_page": size}
        await route.fulfill(content_type="application/json", body=json.dumps({**body, "pages": ROWS // size}))

    await page.route("**/api/downloads?*", crowd)
    await visitor.open()
    await expect(page.get_by_role("link", name="Download").filter(has_text=str(ROWS))).to_be_visible()
    assert await page.get_by_role("listitem").count() < 40
    box = page.get_by_label("Links to download")
    await box.press_sequentially("https://a.example/", delay=0)
    await expect(box).to_have_value("https://a.example/")
    first = visitor.row("Song 1")
    await first.get_by_role("button", name="More about").focus()
    await page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    middle = page.get_by_role("listitem").filter(has=page.get_by_text("Song 250", exact=True))
    await expect(middle).to_have_attribute("aria-posinset", "250")
    await expect(middle).to_have_attribute("aria-setsize", str(ROWS))
    assert await page.get_by_role("listitem").count() < 40
    await expect(first.get_by_role("button", name="More about")).to_be_focused()  # though far away

    await page.get_by_role("link", name="History", exact=True).click()
    await page.evaluate("scrollTo(0, document.body.scrollHeight)")
    await visitor.button("Next page").click()
    await expect(page.get_by_text("Song 475", exact=True)).to_be_in_viewport()
    assert page.url.endswith("history?page=2")
    await page.go_back()
    await expect(visitor.button("Page 1")).to_have_attribute("aria-current", "page")
    await visitor.button(f"Page {ROWS // 25}").click()
    await expect(page.get_by_text("Song 25", exact=True)).to_be_in_viewport()
    await visitor.button("Previous page").click()
    await visitor.button("Next page").press("Enter")
    await expect(visitor.button("Next page")).to_be_disabled()
    await expect(visitor.button("Next page")).to_be_focused()


def _waiting(id_: int) -> dict[str, Any]:
    nothing = ("parent_id", "artist", "album", "album_artist", "track_number", "duration", "codec")
    nothing += ("bitrate", "file_path", "file_size", "progress", "items", "error_code", "error_message")
    nothing += ("started_at", "completed_at")
    facts = {"url": f"https://a.example/{id_}", "kind": "track", "status": "pending", "title": f"Song {id_}"}
    times = {"created_at": "2026-11-25T08:00:00Z", "updated_at": "2026-11-25T08:00:00Z"}
    return {"id": id_, "format": "best", "attempts": 0, **dict.fromkeys(nothing), **facts, **times}


async def test_the_first_load_is_small_and_history_and_administration_come_when_opened(visit: Visit) -> None:
    visitor = await visit("thrifty")
    loaded: set[str] = set()
    # What is loaded ahead, once nothing else is to be done, comes on top.
    await visitor.page.add_init_script("window.requestIdleCallback = () => 0")
    visitor.page.on("request", lambda request: loaded.add(urlsplit(request.url).path.removeprefix("/ui/")))
    await visitor.open()
    await expect(visitor.page.get_by_text("Nothing in the queue")).to_be_visible()
    await expect(visitor.page.get_by_role("button", name="Signed in as")).to_be_visible()
    files = [name for name in loaded if name.startswith("assets/")]
    assert len(files) > 3
    assert sum(_packed(name) for name in files) < FIRST_LOAD_LIMIT
    assert not [name for name in files if any(part in name for part in ("History", "Admin", "Account"))]
    await visitor.page.get_by_role("link", name="History", exact=True).click()
    await expect(visitor.page.get_by_text("Nothing here yet")).to_be_visible()
    assert [name for name in loaded if "HistoryPage" in name]
    assert not [name for name in loaded if any(part in name for part in ("Admin", "Account"))]


def _packed(name: str) -> int:
    """Return the bytes of a file as gzip, which browsers take over plain HTTP too."""
    packed = FOLDER / f"{name}.gz"
    return (packed if packed.exists() else FOLDER / name).stat().st_size

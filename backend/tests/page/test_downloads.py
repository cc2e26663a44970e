"""The page's main job, from the first link to the music, in a real browser."""

import re
from pathlib import Path

import pytest
from playwright.async_api import expect
from tests import media
from tests.page.browsing import SECRET, call
from tests.page.conftest import Visit
from tests.source import Source

pytestmark = pytest.mark.asyncio(loop_scope="module")
HOSTILE = "<img src=x onerror=document.title='owned'><b>Bold</b>"


async def test_the_whole_way_from_registering_to_hearing_a_track_and_keeping_it(
    visit: Visit, sources: Source, library: Path
) -> None:
    visitor = await visit()
    page = visitor.page
    url = sources.file(
        "/whole.mp3", media.make("mp3", seconds=9, title="Morning Walk", artist="The Way", album="One")
    )
    await visitor.open()
    await page.get_by_role("link", name="Create an account").click()
    await page.get_by_label("Username").fill("walker")
    await page.get_by_label("Email").fill("walker@example.org")
    await page.get_by_label("Password", exact=True).fill("password")
    await visitor.button("Create account").click()
    await expect(
        page.get_by_text("password is too common", exact=False).or_(page.get_by_text("common"))
    ).to_be_visible()
    await page.get_by_label("Password", exact=True).fill(SECRET)
    await visitor.button("Create account").click()
    await expect(page.get_by_text("Nothing in the queue")).to_be_visible()

    await visitor.submit(url)
    await expect(visitor.row("Morning Walk")).to_contain_text("The Way · One · MP3 · 0:09", timeout=30_000)
    await expect(page.get_by_label("Links to download")).to_have_value("")

    await visitor.button("Play Morning Walk").click()
    player = page.get_by_role("region", name="Player")
    position = player.get_by_role("slider", name="Position")
    await expect(position).to_have_attribute("aria-valuenow", re.compile("[1-9]"))
    await page.get_by_role("link", name="History", exact=True).click()
    await expect(page.get_by_role("heading", name="History")).to_be_focused()
    await position.focus()
    await position.press("ArrowRight")
    await position.press("ArrowRight")
    await expect(position).to_have_attribute("aria-valuenow", re.compile("[4-9]"))
    await player.get_by_role("button", name="Pause", exact=True).click()
    await expect(player.get_by_role("button", name="Play", exact=True)).to_be_visible()
    titles = await page.evaluate("navigator.mediaSession.metadata.title")
    assert titles == "Morning Walk"

    await visitor.button("More about Morning Walk").click()
    async with page.expect_download() as downloading:
        await page.get_by_role("menuitem", name="Save to this device").click()
    kept = await (await downloading.value).path()
    filed = library / "The Way" / "One" / "Morning Walk.mp3"
    assert kept.read_bytes() == filed.read_bytes()

    await visitor.button("More about Morning Walk").click()
    await page.get_by_role("menuitem", name="Remove …").click()
    await page.get_by_label("Delete the file from the library, too").check()
    await visitor.button("Remove and delete").click()
    await expect(page.get_by_text("Nothing here yet")).to_be_visible()  # at once, before it is done
    await expect(page.get_by_text("Removed, and the file with it")).to_be_visible()
    assert not filed.exists()


async def test_a_collection_unfolds_and_plays_from_track_to_track(visit: Visit, sources: Source) -> None:
    visitor = await visit("collector")
    songs = [
        sources.file(f"/list{n}.mp3", media.make("mp3", seconds=2, title=f"Part {n}", artist="Several"))
        for n in (1, 2)
    ]
    await visitor.open()
    await visitor.submit(
        sources.album_page("/list.html", [*songs, sources.status("/list3.mp3", 404)], title="A List")
    )
    await visitor.button("Show the tracks of A List").click()
    await expect(visitor.row("Part 2")).to_be_visible(timeout=30_000)
    await expect(visitor.row("1 of 3 tracks failed")).to_contain_text("2 of 3 tracks", timeout=30_000)
    await visitor.button("Play A List").click()
    player = visitor.page.get_by_role("region", name="Player")
    await expect(player).to_contain_text("Part 1")
    await expect(player).to_contain_text("Part 2", timeout=20_000)  # by itself
    await expect(player.get_by_role("button", name="Next track")).to_be_disabled()
    await player.get_by_role("button", name="Previous track").click()
    await expect(player).to_contain_text("Part 1")


async def test_what_failed_says_why_and_is_tried_again(visit: Visit, sources: Source) -> None:
    visitor = await visit("unlucky")
    url = sources.status("/later.mp3", 404)
    await visitor.open()
    await visitor.submit(url)
    row = visitor.row("later.mp3")
    await expect(row).to_contain_text("There is nothing at this URL", timeout=30_000)
    await expect(row).to_contain_text("Open the link in a browser")
    sources.file("/later.mp3", media.make("mp3", title="Belated", artist="But There"))
    await row.get_by_role("button", name=re.compile("^Try .* again$")).click()
    await expect(visitor.row("Belated")).to_contain_text("But There", timeout=30_000)


async def test_what_runs_shows_its_progress_and_is_cancelled(visit: Visit, sources: Source) -> None:
    visitor = await visit("hasty")
    song = media.make("flac", seconds=30)
    url = sources.dripping("/slow.flac", song, piece=20_000, interval=0.1, announced=song.stat().st_size)
    await visitor.open()
    await visitor.submit(url)
    row = visitor.row("slow.flac")
    await expect(row).to_contain_text(re.compile(r"Downloading · .* of .*/s"), timeout=30_000)
    await expect(row.get_by_role("progressbar")).to_have_attribute("aria-valuenow", re.compile("[0-9]"))
    async with visitor.page.expect_response("**/cancel"):  # what is shown doesn't wait for it
        await row.get_by_role("button", name=re.compile("^Cancel ")).click()
    await expect(row).to_contain_text("Cancelled")
    await expect(row.get_by_role("progressbar")).to_have_count(0)
    [download] = call(visitor.address, visitor.token, "GET", "/api/downloads")["downloads"]
    assert download["status"] == "cancelled"


async def test_what_comes_from_a_source_is_text_and_never_markup(visit: Visit, sources: Source) -> None:
    visitor = await visit("careful")
    url = sources.file("/hostile.mp3", media.make("mp3", title=HOSTILE, artist="<script>alert(1)</script>"))
    await visitor.open()
    await visitor.submit(url)
    await expect(visitor.page.get_by_text(HOSTILE)).to_be_visible(timeout=30_000)
    await expect(visitor.page.get_by_text("<script>alert(1)</script>")).to_be_visible()
    await visitor.page.get_by_role("button", name=re.compile("^Play ")).click()
    await expect(visitor.page.get_by_role("region", name="Player")).to_contain_text(HOSTILE)
    assert await visitor.page.locator("img[src=x], b, main script").count() == 0
    assert "owned" not in await visitor.page.title()


async def test_links_that_are_refused_stay_in_the_box_with_the_services_reason(
    visit: Visit, sources: Source
) -> None:
    visitor = await visit("mistaken")
    good = sources.status("/good.mp3", 404)
    await visitor.open(f"?url={good}&text=see%20{good}")
    box = visitor.page.get_by_label("Links to download")
    await expect(box).to_have_value(good)
    assert visitor.page.url.endswith("/ui/")
    await box.fill(f"{good}\nhttp://10.0.0.1/x.mp3\nno link at all")
    await box.press("Enter")
    await expect(visitor.page.get_by_role("alert")).to_contain_text("http://10.0.0.1/x.mp3")
    await expect(box).to_have_value("http://10.0.0.1/x.mp3\nno link at all")
    await expect(visitor.row("good.mp3")).to_be_visible()
    await visitor.page.reload()
    await expect(box).to_have_value("http://10.0.0.1/x.mp3\nno link at all")

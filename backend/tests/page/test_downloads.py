"""The page's main job, from the first link to the music, in a real browser."""

import asyncio
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Route, expect
from tests import media
from tests.page.browsing import LISTEN, SECRET, call
from tests.page.conftest import Visit
from tests.source import Source

pytestmark = pytest.mark.asyncio(loop_scope="module")
# A paste and a drop somewhere on the page, as a browser tells them.
HAND_OVER = """() => {
  const carrying = (type, text) => { const data = new DataTransfer(); data.setData(type, text); return data }
  const options = {bubbles: true, cancelable: true}
  document.activeElement.blur()
  const clipboardData = carrying('text/plain', 'hear this: http://pasted.example/1.')
  document.body.dispatchEvent(new ClipboardEvent('paste', {...options, clipboardData}))
  const dataTransfer = carrying('text/uri-list', 'http://dropped.example/2')
  for (const kind of ['dragover', 'drop'])
    document.body.dispatchEvent(new DragEvent(kind, {...options, dataTransfer}))
}"""
# Notes each status that the one row is shown with.
WATCH_STATUS = """() => {
  window.statuses = []
  const look = () => {
    const status = document.querySelector('[data-status]')?.dataset.status
    if (status && status !== window.statuses.at(-1)) window.statuses.push(status)
  }
  look()
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true})
}"""
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
    await expect(visitor.row("Morning Walk")).to_contain_text("The Way · One · MP3 · 0:09", timeout=60_000)
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
    await expect(page.get_by_role("heading", name="History")).to_be_focused()  # the list has gone
    await expect(page.get_by_text("Removed; its file too, unless another download uses it")).to_be_visible()
    assert not filed.exists()


async def test_a_collection_unfolds_and_plays_from_track_to_track_as_long_as_the_session_lasts(
    visit: Visit, sources: Source
) -> None:
    visitor = await visit("collector")
    page = visitor.page
    await page.add_init_script(LISTEN)
    songs = [
        sources.file(f"/list{n}.mp3", media.make("mp3", seconds=length, title=f"Part {n}", artist="Several"))
        for n, length in ((1, 2), (2, 30))
    ]
    await visitor.open()
    await visitor.submit(
        sources.album_page("/list.html", [*songs, sources.status("/list3.mp3", 404)], title="A List")
    )
    await visitor.button("Show the tracks of A List").click()
    await expect(visitor.row("Part 2")).to_be_visible(timeout=60_000)
    await expect(visitor.row("1 of 3 tracks failed")).to_contain_text("2 of 3 tracks", timeout=60_000)
    await visitor.button("Play A List").click()
    player = page.get_by_role("region", name="Player")
    await expect(player).to_contain_text("Part 1")
    await expect(player).to_contain_text("Part 2", timeout=60_000)  # by itself
    await expect(player.get_by_role("button", name="Next track")).to_be_disabled()
    await page.evaluate("keys.seekto({seekTime: 0}); keys.previoustrack()")
    await expect(player).to_contain_text("Part 1")
    await page.evaluate("keys.nexttrack()")
    await expect(player).to_contain_text("Part 2")
    await expect(player.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    await page.evaluate("keys.pause()")
    await player.get_by_role("button", name="Play", exact=True).click()
    await page.wait_for_function("!heard.paused && navigator.mediaSession.metadata.title === 'Part 2'")

    call(visitor.address, visitor.token, "POST", "/auth/logout")  # somewhere else
    await expect(page.get_by_text("Your session has ended")).to_be_visible()
    await page.evaluate("keys.play()")
    assert await page.evaluate("heard.paused && navigator.mediaSession.metadata === null")
    await visitor.fill_sign_in("collector")
    await expect(player).to_contain_text("Part 2")
    await player.get_by_role("button", name="Play", exact=True).click()
    await page.wait_for_function("!heard.paused && navigator.mediaSession.metadata.title === 'Part 2'")


async def test_what_failed_says_why_and_is_tried_again(visit: Visit, sources: Source) -> None:
    visitor = await visit("unlucky")
    url = sources.status("/later.mp3", 404)
    await visitor.open()
    await visitor.submit(url)
    row = visitor.row("later.mp3")
    await expect(row).to_contain_text("There is nothing at this URL", timeout=60_000)
    await expect(row).to_contain_text("Open the link in a browser")
    sources.file("/later.mp3", media.make("mp3", title="Belated", artist="But There"))
    await row.get_by_role("button", name=re.compile("^Try .* again$")).click()
    await expect(visitor.row("Belated")).to_contain_text("But There", timeout=60_000)


async def test_what_runs_shows_its_progress_and_is_cancelled(visit: Visit, sources: Source) -> None:
    visitor = await visit("hasty", reduced_motion="reduce")
    song = media.make("flac", seconds=30)
    url = sources.dripping("/slow.flac", song, piece=20_000, interval=0.1, announced=song.stat().st_size)
    await visitor.open()
    await visitor.submit(url)
    row = visitor.row("slow.flac")
    await expect(row).to_contain_text(re.compile(r"Downloading · .* of .*/s"), timeout=60_000)
    await expect(row.get_by_role("progressbar")).to_have_attribute("aria-valuenow", re.compile("[0-9]"))
    moving = "document.getAnimations().filter((each) => each.effect.getTiming().duration > 1).length"
    assert await visitor.page.evaluate(moving) == 0  # as whoever can't bear motion has asked
    await visitor.page.route("**/cancel", _answer_late)
    await visitor.page.evaluate(WATCH_STATUS)
    async with visitor.page.expect_response("**/cancel"):  # what is shown doesn't wait for it
        await row.get_by_role("button", name=re.compile("^Cancel ")).press("Enter")
    await expect(visitor.row("Nothing in progress")).to_be_focused()  # nothing else is left to cancel
    await expect(row).to_contain_text("Cancelled")
    await expect(row.get_by_role("progressbar")).to_have_count(0)
    # What events told meanwhile of the time before didn't bring it back for a moment.
    assert await visitor.page.evaluate("statuses") == ["in-progress", "cancelled"]
    [download] = call(visitor.address, visitor.token, "GET", "/api/downloads")["downloads"]
    assert download["status"] == "cancelled"


async def _answer_late(route: Route) -> None:
    await asyncio.sleep(1)  # events tell of the time before meanwhile
    await route.continue_()


async def test_what_comes_from_a_source_is_text_and_never_markup(visit: Visit, sources: Source) -> None:
    visitor = await visit("careful")
    url = sources.file("/hostile.mp3", media.make("mp3", title=HOSTILE, artist="<script>alert(1)</script>"))
    await visitor.open()
    await visitor.submit(url)
    await expect(visitor.page.get_by_text(HOSTILE)).to_be_visible(timeout=60_000)
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
    await visitor.page.evaluate(HAND_OVER)
    await expect(box).to_have_value(f"{good}\nhttp://pasted.example/1\nhttp://dropped.example/2")
    await expect(box).to_be_focused()
    await box.press("Shift+Enter")
    await box.press_sequentially("a line below")
    await expect(box).to_have_value(re.compile("\na line below$"))
    await box.fill(f"{good}\nhttp://10.0.0.1/x.mp3\nno link at all")
    await box.press("Enter")
    await expect(visitor.page.get_by_role("alert")).to_contain_text("http://10.0.0.1/x.mp3")
    await expect(box).to_have_value("http://10.0.0.1/x.mp3\nno link at all")
    await expect(visitor.row("good.mp3")).to_be_visible()
    for status, words in ((429, "You have too many unfinished downloads."), (503, "The database is away.")):
        answer = {"status": status, "content_type": "application/problem+json"}
        refusal = json.dumps({"title": "No", "status": status, "detail": words})
        await visitor.page.route("**/api/download", partial(_refuse, answer=answer, body=refusal))
        await box.press("Enter")
        await expect(visitor.page.get_by_role("alert")).to_contain_text(words)
        await expect(box).to_have_value("http://10.0.0.1/x.mp3\nno link at all")
    await visitor.page.reload()
    await expect(box).to_have_value("http://10.0.0.1/x.mp3\nno link at all")


async def _refuse(route: Route, *, answer: dict[str, Any], body: str) -> None:
    await route.fulfill(**answer, body=body)

"""Measure the page in Chromium: what a first visit loads, when it paints, and how typing feels over 500 rows.

    .venv/bin/python tools/page_figures.py

Everything is on the loopback; the figures go into docs/page.md by hand.
"""

import json
import statistics
import sys
from typing import Any

import rig
import screenshots
from playwright.sync_api import Page, Route, sync_playwright

ROWS, PER_PAGE = 500, 100
VISITS = 5
TEXT = "https://artist.example/album/some-songs"
# From the key to the frame that shows its letter.
WATCH = """
window.latencies = []
document.addEventListener('input', (event) => {
  requestAnimationFrame(() => {
    const channel = new MessageChannel()
    channel.port1.onmessage = () => window.latencies.push(performance.now() - event.timeStamp)
    channel.port2.postMessage(0)
  })
}, true)
"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def main() -> int:
    """Print the figures."""
    with (
        rig.temporary_folder() as folder,
        rig.service(folder / "service", **screenshots.ADMIN) as service,
        sync_playwright() as playwright,
        screenshots.browser(playwright) as chromium,
    ):
        paints = []
        for _ in range(VISITS):
            context = chromium.new_context(base_url=service.address)
            page = context.new_page()
            sizes = _note_sizes(page)
            page.goto("/ui/")
            page.get_by_role("button", name="Sign in").wait_for()
            page.wait_for_function(f"() => {PAINT} !== undefined")  # it is told a moment after it was done
            paints.append(float(page.evaluate(PAINT)))
            _sign_in(page)
            page.get_by_text("Nothing in the queue").wait_for()
            page.wait_for_timeout(500)
            loaded = sum(sizes.values())
            context.close()
        print(f"first contentful paint, new visitor: {statistics.median(paints):.0f} ms (median of {VISITS})")
        print(f"first load, on the wire: {loaded / 1000:.0f} kB in {len(sizes)} files")
        context = chromium.new_context(base_url=service.address)
        page = context.new_page()
        page.route("**/api/downloads?*", _crowd)
        page.goto("/ui/")
        _sign_in(page)
        page.get_by_role("link", name="Download").filter(has_text=str(ROWS)).wait_for()
        page.evaluate(WATCH)
        page.get_by_label("Links to download").press_sequentially(TEXT, delay=60)
        latencies = sorted(page.evaluate("window.latencies"))
        shown = page.get_by_role("listitem").count()
        most = latencies[int(len(latencies) * 0.95)]
        print(f"from key to frame with {ROWS} rows, {shown} of them in the page: ", end="")
        print(f"median {statistics.median(latencies):.1f} ms, 95 % within {most:.1f} ms")
    return 0


def _note_sizes(page: Page) -> dict[str, int]:
    sizes: dict[str, int] = {}

    def note(request: Any) -> None:  # noqa: ANN401 - Playwright's own
        if "/ui/" in request.url:
            sizes[request.url] = request.sizes()["responseBodySize"]

    page.on("requestfinished", note)
    return sizes


def _sign_in(page: Page) -> None:
    page.get_by_label("Username or email").fill(rig.USER["username"])
    page.get_by_label("Password", exact=True).fill(rig.USER["password"])
    page.get_by_role("button", name="Sign in").click()


def _crowd(route: Route) -> None:
    """Answer as if so many downloads were waiting."""
    query = dict(part.split("=") for part in route.request.url.split("?")[1].split("&"))
    first = int(query.get("page", 1))
    ids = range(ROWS - (first - 1) * PER_PAGE, ROWS - first * PER_PAGE, -1)
    body = {"downloads": [_waiting(id_) for id_ in ids], "total": ROWS, "page": first, "per_page": PER_PAGE}
    route.fulfill(content_type="application/json", body=json.dumps({**body, "pages": ROWS // PER_PAGE}))


def _waiting(id_: int) -> dict[str, Any]:
    nothing = ("parent_id", "artist", "album", "album_artist", "track_number", "duration", "codec")
    nothing += ("bitrate", "file_path", "file_size", "progress", "items", "error_code", "error_message")
    nothing += ("started_at", "completed_at")
    facts = {"url": f"https://a.example/{id_}", "kind": "track", "status": "pending", "title": f"Song {id_}"}
    times = {"created_at": "2026-11-25T08:00:00Z", "updated_at": "2026-11-25T08:00:00Z"}
    return {"id": id_, "format": "best", "attempts": 0, **dict.fromkeys(nothing), **facts, **times}


if __name__ == "__main__":
    sys.exit(main())

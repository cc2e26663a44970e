"""A person in front of the page: a browser of their own, and what must never happen in it."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    ViewportSize,
)

SECRET = "correct horse battery"
SESSION = "nas-music.session"
# Debian's, as root in a container and without a screen; nothing in it may ask anybody outside.
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
DESK_SIZE: ViewportSize = {"width": 1280, "height": 800}
PHONE_SIZE: ViewportSize = {"width": 360, "height": 740}
PHONE: dict[str, Any] = {
    "viewport": PHONE_SIZE,
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
# Keeps hold of what plays and of what the media keys do: neither is in the document.
LISTEN = """
window.Audio = class extends Audio { constructor() { super(); window.heard = this } }
window.keys = {}
MediaSession.prototype.setActionHandler = (name, press) => { window.keys[name] = press }
"""
_AXE = Path(__file__).resolve().parents[3] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
_GRAVE = {"serious", "critical"}


@dataclass(kw_only=True)
class Visitor:
    """One person's page, and all that went wrong in it."""

    address: str
    page: Page
    context: BrowserContext
    token: str | None = None
    faults: list[str] = field(default_factory=list)

    @classmethod
    async def arrive(
        cls, browser: Browser, address: str, *, name: str | None, seconds: float = 1800, **options: Any
    ) -> Self:
        """Open a page; with a name, signed in as a new user of that name."""
        context = await browser.new_context(base_url=address, locale="en-GB", **options)
        context.set_default_timeout(15_000)
        token = None
        if name is not None:
            token = account(address, name)
            kept = json.dumps({"token": token, "endsAt": (time.time() + seconds) * 1000})
            entry = f"localStorage.setItem({json.dumps(SESSION)}, {json.dumps(kept)})"
            await context.add_init_script(f"if (!sessionStorage.seen) {{ {entry}; sessionStorage.seen = 1 }}")
        page = await context.new_page()
        visitor = cls(address=address, page=page, context=context, token=token)
        page.on("pageerror", lambda error: visitor.faults.append(f"error: {error}"))
        page.on("console", visitor._hear)
        context.on("request", visitor._look)
        return visitor

    def _hear(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "Content-Security-Policy" in message.text:
            self.faults.append(message.text)

    def _look(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in {"blob", "data"} and url.netloc != urlsplit(self.address).netloc:
            self.faults.append(f"asked {request.url}")

    async def open(self, path: str = "") -> None:
        await self.page.goto(f"/ui/{path}")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    async def submit(self, *urls: str) -> None:
        """Hand in links as one does: into the box, and Enter."""
        box = self.page.get_by_label("Links to download")
        await box.fill("\n".join(urls))
        await box.press("Enter")

    def row(self, text: str) -> Locator:
        return self.page.get_by_role("listitem").filter(has_text=text).first

    async def fill_sign_in(self, name: str, secret: str = SECRET) -> None:
        await self.page.get_by_label("Username or email").fill(name)
        await self.page.get_by_label("Password", exact=True).fill(secret)
        await self.button("Sign in").click()

    async def grave_faults(self, *rules: str) -> list[str]:
        """Ask axe, about all or about these rules; name each serious or critical fault and where it is."""
        if not await self.page.evaluate("typeof axe === 'object'"):
            await self.page.evaluate(_AXE.read_text(encoding="utf-8"))
        options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
        found = await self.page.evaluate("(options) => axe.run(document, options)", options)
        return [
            f"{self.page.url.partition('/ui/')[2]}: {each['id']}: {node['html'][:200]}"
            for each in found["violations"]
            if each["impact"] in _GRAVE
            for node in each["nodes"]
        ]


def account(address: str, name: str, *, secret: str = SECRET) -> str:
    """Make an account by way of the API, unless it is there, and return a token."""
    who = {"username": name, "email": f"{name}@example.org", "password": secret}
    with httpx.Client(base_url=address, timeout=30) as http:
        http.post("/auth/register", json=who)
        answer = http.post("/auth/login", json={"username": name, "password": secret})
        return str(answer.raise_for_status().json()["access_token"])


def call(address: str, token: str | None, method: str, path: str, **body: Any) -> Any:
    """Call the API as somebody, behind the page's back."""
    with httpx.Client(base_url=address, timeout=30) as http:
        answer = http.request(
            method, path, json=body or None, headers={"Authorization": f"Bearer {token}"}
        ).raise_for_status()
        return answer.json() if answer.content else None

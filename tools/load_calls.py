"""What two hundred people do at once, for locust: look through pages, search, submit, cancel, delete."""

import json
import os
import random
from typing import Any

from locust import FastHttpUser, between, task

_TOKENS: list[str] = json.loads(os.environ["LOAD_TOKENS"])
_TRACKS: list[str] = json.loads(os.environ["LOAD_TRACKS"])
_GONE = (404, 409)  # another one with the same account was quicker
_some = random.Random()  # noqa: S311 - it only mixes calls


class Person(FastHttpUser):
    """One of many with the page open; several share an account."""

    wait_time = between(1, 3)

    def on_start(self) -> None:
        """Take a session."""
        self._headers = {"Authorization": f"Bearer {_some.choice(_TOKENS)}"}
        self._ids: list[int] = []

    @task(8)
    def page(self) -> None:
        """Look at a page, now and then of what failed."""
        asked = _some.choice(("", "?page=2", "?status=completed", "?status=failed", "?page=7&per_page=20"))
        body = self._call("GET", f"/api/downloads{asked}", name="/api/downloads")
        self._ids = [row["id"] for row in body["downloads"]] if body else []

    @task(2)
    def search(self) -> None:
        """Search."""
        self._call("GET", "/api/downloads?q=track", name="/api/downloads?q=")

    @task(3)
    def one(self) -> None:
        """Look at one download."""
        if self._ids:
            self._call(
                "GET", f"/api/downloads/{_some.choice(self._ids)}", name="/api/downloads/{id}", also=_GONE
            )

    @task(2)
    def submit(self) -> None:
        """Submit a track, which is another one each time."""
        body = {"url": f"{_some.choice(_TRACKS)}?{_some.getrandbits(48)}", "format": "best"}
        self._call("POST", "/api/download", name="/api/download", body=body)

    @task(1)
    def cancel(self) -> None:
        """Cancel one that may have ended meanwhile."""
        if self._ids:
            path = f"/api/downloads/{_some.choice(self._ids)}/cancel"
            self._call("POST", path, name="/api/downloads/{id}/cancel", also=_GONE)

    @task(1)
    def delete(self) -> None:
        """Delete one that may still be active."""
        if self._ids:
            path = f"/api/downloads/{_some.choice(self._ids)}"
            self._call("DELETE", path, name="/api/downloads/{id} delete", also=_GONE)

    @task(1)
    def me(self) -> None:
        """Ask who one is."""
        self._call("GET", "/auth/me", name="/auth/me")

    def _call(
        self,
        method: str,
        path: str,
        *,
        name: str,
        body: dict[str, str] | None = None,
        also: tuple[int, ...] = (),
    ) -> Any:  # noqa: ANN401 - JSON
        """Send one call; anything is a failure but success, 429, and what is `also` to be expected."""
        with self.client.request(
            method, path, name=name, json=body, headers=self._headers, catch_response=True
        ) as answer:
            if answer.status_code in (429, *also):
                answer.success()
                return None
            return answer.json() if answer.ok and answer.content else None

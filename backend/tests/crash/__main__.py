"""Kill everything, at chosen lines and at random, and see that nothing is lost.

python -m tests.crash --kills 200 --workers 3    from backend/, or `make crash`

A run is one whole installation in processes of its own, over one PostgreSQL and one library, with music to
download from a source on the loopback. Its seed is printed: the same one chooses the same victims, though not
the same moments.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
from tests.crash.checker import Verdict, check, unfinished
from tests.crash.cluster import Cluster, Program
from tests.crash.doomed import LINES
from tests.crash.music import Music
from tests.source import Source

_WHO = {"username": "alice", "email": "alice@example.org", "password": "correct horse battery"}
_WEB_LINES = {"submitting"}
_REST_SECONDS = 300
_YOUNG_SECONDS = 6
_DOOMED_SECONDS = 75  # for a line to be reached
_BROKEN = (httpx.HTTPError, psycopg.Error)


@dataclass
class Client:
    """A person who submits and cancels, whatever the web does."""

    address: str
    chosen: random.Random
    accepted: dict[int, str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    _token: str = ""

    def sign_in(self) -> None:
        httpx.post(f"{self.address}/auth/register", json=_WHO, timeout=30)
        who = {name: _WHO[name] for name in ("username", "password")}
        answer = httpx.post(f"{self.address}/auth/login", json=who, timeout=30)
        self._token = answer.raise_for_status().json()["access_token"]

    def submit(self, url: str, wanted: str) -> bool:
        answer = self._call("POST", "/api/download", json={"url": url, "format": wanted})
        if answer is None or answer.status_code not in {200, 202}:
            return False
        self.accepted[int(answer.json()["id"])] = url
        return True

    def cancel_one(self) -> None:
        number = self.chosen.choice(list(self.accepted))
        self._call("POST", f"/api/downloads/{number}/cancel")

    def _call(self, method: str, path: str, **what: object) -> httpx.Response | None:
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            answer = httpx.request(method, self.address + path, headers=headers, timeout=15, **what)  # type: ignore[arg-type]
        except httpx.HTTPError as error:
            self.refused[type(error).__name__] += 1
            return None
        if answer.is_server_error:
            self.refused[str(answer.status_code)] += 1
        return answer


@dataclass
class Rampage:
    """The killing: `kills` counts what died, by kind and line."""

    cluster: Cluster
    client: Client
    music: Music
    chosen: random.Random
    workers: int
    kills: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    is_on: bool = True

    def run(self, *, kills: int, lines: list[str], minutes: float) -> None:
        """Go on until so many have died at random, and every line was somebody's last."""
        waiting = list(lines)
        self.chosen.shuffle(waiting)
        last = time.monotonic() + 60 * minutes
        told = 0
        while (self.at_random < kills or waiting or self._doomed()) and time.monotonic() < last:
            self._keep_up(waiting)
            if self.at_random < kills:
                self._kill_one()
            if self.kills.total() >= told + 20:
                told = self.kills.total()
                _say(f"{told} kills, {len(self.client.accepted)} submissions")
            time.sleep(self.chosen.uniform(0.2, 2.0))

    @property
    def at_random(self) -> int:
        """How many have died at no line."""
        return sum(number for kind, number in self.kills.items() if kind.endswith("at random"))

    def rest(self) -> bool:
        """Let everything come to its end, with nobody doomed any more; whether it has."""
        self.is_on = False
        for worker in list(self.cluster.workers):
            if worker.line:
                self.cluster.kill(worker)
        if self.cluster.web is not None and self.cluster.web.line:
            self.cluster.kill(self.cluster.web)
        deadline = time.monotonic() + _REST_SECONDS
        while time.monotonic() < deadline:
            self._bury()
            while len(self.cluster.workers) < max(self.workers, 1):
                self.cluster.start_worker()
            with suppress(*_BROKEN):
                if unfinished(self.cluster.postgres.url) == 0 and not self._staged():
                    return True
            time.sleep(0.5)
        return False

    def _staged(self) -> bool:
        staging = self.cluster.library / ".nas-music" / "staging"
        return staging.exists() and any(staging.iterdir())

    def _doomed(self) -> list[Program]:
        return [worker for worker in self.cluster.workers if worker.line]

    def _keep_up(self, waiting: list[str]) -> None:
        """Bring back what has died, and give it something to do; beside the others, one is doomed."""
        self._bury()
        for worker in self._doomed():
            if worker.is_ripe(_DOOMED_SECONDS):
                self.missed[worker.line] += 1
                self.cluster.kill(worker)
        if waiting and not self._doomed():
            line = waiting.pop()
            self.cluster.start_worker(line=line, victim=self._victim(line))
        while len(self.cluster.workers) - len(self._doomed()) < self.workers:
            self.cluster.start_worker()
        with suppress(*_BROKEN):
            if unfinished(self.cluster.postgres.url) < 3 * self.workers:
                for _ in range(self.workers):
                    self.client.submit(*self.music.next())
                if self.client.accepted and self.chosen.random() < 0.15:
                    self.client.cancel_one()

    def _victim(self, line: str) -> int | str:
        """At some lines it is PostgreSQL or the child that dies, and the worker with it, a little later."""
        if line in {"renamed", "completing", "claimed"} and self.chosen.random() < 0.3:
            return self.cluster.postgres.pid or 0
        return "child" if line == "fetching" and self.chosen.random() < 0.3 else 0

    def _bury(self) -> None:
        for worker in self.cluster.fallen():
            self.kills[f"worker, {worker.line}" if worker.line else "worker, by itself"] += 1
        if self.cluster.revive_postgres():
            self.kills["postgres, at random"] += 1
        web = self.cluster.web
        if web is None or web.process.poll() is not None:
            if web is not None and web.line:
                self.kills[f"web, {web.line}"] += 1
            line = self.chosen.choice([*_WEB_LINES, "", "", ""]) if self.is_on else ""
            self.cluster.start_web(line=line)

    def _is_ripe(self, program: Program) -> bool:
        """Most live until they have worked for a moment."""
        return program.is_ripe(self.chosen.uniform(0, _YOUNG_SECONDS)) or self.chosen.random() < 0.03

    def _kill_one(self) -> None:
        part = self.chosen.choices(
            ("worker", "child", "template", "gate", "web", "postgres"), (30, 30, 12, 8, 10, 10)
        )[0]
        if part == "worker":
            free = [worker for worker in self.cluster.workers if not worker.line and self._is_ripe(worker)]
            if not free:
                return
            self.cluster.kill(self.chosen.choice(free))
        elif part == "web":
            if self.cluster.web is None or not self._is_ripe(self.cluster.web):
                return
            self.cluster.kill(self.cluster.web)
        elif part == "postgres":
            self.cluster.kill_postgres()
            return  # counted when it is found dead
        elif not self.cluster.kill_below(self.chosen, part=part):
            return
        self.kills[f"{part}, at random"] += 1


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    asked.add_argument("--kills", type=int, default=200, help="how many have to die")
    asked.add_argument("--workers", type=int, default=3)
    asked.add_argument("--lines", nargs="*", default=sorted(set(LINES) - _WEB_LINES), choices=sorted(LINES))
    asked.add_argument("--minutes", type=float, default=45, help="it rests then, however many have died")
    asked.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    asked.add_argument("--keep", action="store_true", help="leave the folder, to look into it")
    given = asked.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    _say(f"seed {given.seed}")
    folder = Path(tempfile.mkdtemp(prefix="nas-music-crash-"))
    folder.chmod(0o755)
    try:
        faults = run(folder, given)
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if faults else 0


def run(folder: Path, given: argparse.Namespace) -> list[str]:
    begun = time.monotonic()
    chosen = random.Random(given.seed)  # noqa: S311 - it chooses victims
    with Cluster(folder) as cluster, Source() as source:
        cluster.start_web()
        cluster.wait_for_web()
        client = Client(cluster.address, chosen)
        client.sign_in()
        music = Music(source, chosen)
        rampage = Rampage(cluster, client, music, chosen, given.workers)
        rampage.run(kills=given.kills, lines=list(given.lines), minutes=given.minutes)
        _say(f"{rampage.kills.total()} kills in {time.monotonic() - begun:.0f} s; now it may rest")
        rested = rampage.rest()
        verdict = check(
            cluster.postgres.url, cluster.library, accepted=client.accepted, sources=music.packets
        )
        if not rested:
            verdict.faults.append(f"{unfinished(cluster.postgres.url)} things still move")
        for worker in list(cluster.workers):
            if cluster.end(worker, within=30) != 0:
                verdict.faults.append("a worker didn't end well")
        if cluster.web is not None:
            cluster.end(cluster.web, within=30)
            cluster.web = None
        cluster.postgres.stop()
        time.sleep(1)
        verdict.faults += [f"still running: {name}" for name in cluster.reap()]
        ranges = sum("range" in request.headers for request in source.requests)
        _tell(rampage, verdict, ranges=ranges, seconds=time.monotonic() - begun)
        if verdict.faults:
            log = Path(tempfile.gettempdir()) / f"nas-music-crash-{given.seed}.log"
            log.write_text(cluster.log)
            _say(f"what they all said: {log}")
        return verdict.faults


def _tell(rampage: Rampage, verdict: Verdict, *, ranges: int, seconds: float) -> None:
    _say(f"\n{rampage.kills.total()} kills:")
    for kind, number in sorted(rampage.kills.items()):
        _say(f"  {number:4} {kind}")
    if rampage.missed:
        _say(f"lines that nobody reached in time: {dict(rampage.missed)}")
    _say(f"{len(rampage.client.accepted)} submissions accepted; broken calls: {dict(rampage.client.refused)}")
    _say(f"downloads, tracks of lists among them: {dict(verdict.statuses)}; fetches that went on: {ranges}")
    for what, number in verdict.counts.most_common():
        _say(f"  {number:4} {what}")
    _say(f"{len(verdict.faults)} faults after {seconds:.0f} s")
    for fault in verdict.faults:
        _say(f"  FAULT {fault}")


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

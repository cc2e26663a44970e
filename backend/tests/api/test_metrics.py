"""What Prometheus is told: documented, exact over all processes, bounded, and about nobody."""

import asyncio
import json
import re
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from tests import media
from tests.api.problems import assert_problem
from tests.cli.running import Started
from tests.conftest import Serve
from tests.door import Door
from tests.following import ended, submit, until_true
from tests.source import Source

from music_downloader.service import measurement

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
DASHBOARD = json.loads((ROOT / "docs" / "grafana" / "nas-music.json").read_text(encoding="utf-8"))
TOKEN = "0123456789abcdef"
ENDED, PHASES = "nas_music_downloads_ended_total", "nas_music_phase_seconds_count"

Values = dict[tuple[str, frozenset[str]], float]


async def scrape(client: httpx.AsyncClient) -> Values:
    """Return each sample by its name and the values of its labels."""
    answer = (await client.get("/metrics")).raise_for_status()
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.values()) - {""}): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def at(values: Values, name: str, *labels: str) -> float:
    return values[name, frozenset(labels)]


def samples(values: Values) -> set[str]:
    return {name for name, _ in values}


async def test_what_the_documents_name_is_told_and_no_caller_makes_more_of_it(serve: Serve) -> None:
    service = await serve(metrics_token=TOKEN)
    service.library.mkdir()
    for sent in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {TOKEN}"}):
        refused = await service.http.get("/metrics", headers=sent)
        assert_problem(refused, 401)
        assert refused.headers["www-authenticate"] == "Bearer"
    prometheus = await service.client(Authorization=f"Bearer {TOKEN}")
    first = await scrape(prometheus)

    alice = await service.sign_in()
    for url in ("http://10.0.0.1/secret", "https://music.example/whose"):
        await alice.post("/api/download", json={"url": url})
    known = await scrape(prometheus)
    assert at(known, "nas_music_addresses_refused_total") == 1
    assert at(known, "nas_music_queue", "pending") == 1
    assert at(known, "nas_music_submissions", "pending") == 1
    assert at(known, "nas_music_database_up") == 1
    assert at(known, "nas_music_workers") == 0
    assert at(known, "nas_music_http_requests_total", "POST", "/api/download", "202") == 1

    for number in range(40):
        await service.http.get(f"/nowhere/{number}")
        await service.http.get(f"/ui/assets/{number}.js")
        await alice.get(f"/api/downloads/{number + 1000}")
        await service.http.request(f"X{number}", "/health/live")
    after = await scrape(prometheus)
    assert at(after, "nas_music_http_requests_total", "GET", "none", "404") == 40
    assert at(after, "nas_music_http_requests_total", "GET", "/api/downloads/{download_id}", "404") == 40
    assert len([key for key in set(after) - set(known) if not key[0].endswith("_bucket")]) <= 20

    whole = (await prometheus.get("/metrics")).text
    assert not re.search(r"alice|music\.example|10\.0\.0\.1|secret|nowhere|127\.0\.0\.1", whole)
    told = set(re.findall(r"^# HELP (\w+)", whole, re.MULTILINE))
    assert set(re.findall(r"^\| `(nas_music_\w+)`", PAGE, re.MULTILINE)) == told
    queried = {name for text_ in expressions() for name in re.findall(r"nas_music_\w+", text_)}
    assert queried <= samples(after) | samples(first)
    named = set(re.findall(r"nas_music_\w+", PAGE))
    assert named <= samples(after) | told


def expressions() -> list[str]:
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    assert len(found) >= len(DASHBOARD["panels"])
    return found


async def test_what_a_worker_of_its_own_has_done_is_counted_exactly(
    serve: Serve, door: Door, source: Source, sessions: async_sessionmaker[AsyncSession], tmp_path: Path
) -> None:
    await door.open()
    service = await serve(database_url=door.url)
    alice = await service.sign_in()
    song = source.file("/song.mp3", media.make("mp3", title="A Song", artist="Somebody"))
    settings = {
        "DATABASE_URL": door.url,
        "OUTPUT_DIRECTORY": service.library,
        "DATA_DIRECTORY": tmp_path / "worker" / "data",
        "ALLOWED_NETWORKS": "127.0.0.0/8",
        "MIN_FREE_SPACE": "0",
    }
    with Started(
        tmp_path / "worker", "worker", **{name: str(value) for name, value in settings.items()}
    ) as worker:
        landed = await ended(alice, await submit(alice, song))
        lost = await ended(alice, await submit(alice, source.url("/missing.mp3")))
        assert (landed["status"], lost["error_code"]) == ("completed", "not_found")

        async def is_measured() -> bool:
            values = await scrape(service.http)
            return at(values, "nas_music_phase_seconds_count", "resolving") == 2

        await until_true(is_measured)
        assert at(await scrape(service.http), "nas_music_workers") == 1
        await ended(alice, await submit(alice, source.url("/missing.mp3")))
        await asyncio.to_thread(worker.interrupt, within=60)
    found = await scrape(service.http)
    assert at(found, "nas_music_phase_seconds_count", "resolving") == 3  # the last one as it ended
    ends = {labels: value for (name, labels), value in found.items() if name == ENDED and value}
    assert ends == {frozenset({"completed"}): 1, frozenset({"failed", "not_found"}): 2}
    assert at(found, "nas_music_filed_bytes_total") == landed["file_size"]
    assert at(found, "nas_music_phase_seconds_count", "filing") == 1
    assert 0 < at(found, "nas_music_phase_seconds_sum", "filing") < 30
    assert at(found, "nas_music_submissions", "completed") == 1
    assert at(found, "nas_music_queue", "pending") == at(found, "nas_music_queue_oldest_seconds") == 0
    assert at(found, "nas_music_library_free_bytes") > 0

    async with sessions.begin() as session:
        more = "INSERT INTO measurements SELECT 'filed_bytes', '', 1 FROM generate_series(1, 1001)"
        await session.execute(text(more))
    async with sessions.begin() as session:
        await measurement.fold(session)
    async with sessions() as session:
        assert (await session.scalar(text("SELECT count(*) FROM measurements")) or 0) < 20
    folded = await scrape(service.http)
    assert at(folded, "nas_music_filed_bytes_total") == landed["file_size"] + 1001
    assert {key: folded[key] for key in found if key[0] in {ENDED, PHASES}} == {
        key: found[key] for key in found if key[0] in {ENDED, PHASES}
    }

    door.fall_silent()
    async with asyncio.timeout(4):
        alone = await scrape(service.http)
    assert at(alone, "nas_music_database_up") == 0
    assert ENDED not in samples(alone)
    assert at(alone, "nas_music_http_requests_total", "POST", "/api/download", "202") == 3

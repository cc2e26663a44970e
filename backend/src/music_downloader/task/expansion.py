"""A URL that holds several tracks: what a list tells becomes a collection and its tracks, batch by batch."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.egress.policy import host_of
from music_downloader.engine.order import Entry, Listed
from music_downloader.engine.source import SourceInfo
from music_downloader.errors import BusyListingError, DownloadFailedError, ErrorCode, LostClaimError
from music_downloader.library.lists import ListSense, read_list
from music_downloader.model import Download, Outcome
from music_downloader.service import audit, claim, collection, host, tracklist
from music_downloader.service.audit import Action
from music_downloader.service.claim import Claim
from music_downloader.service.tracklist import NewTrack
from music_downloader.task.describe import source_facts
from music_downloader.task.persistence import persist
from music_downloader.task.state import FetchPlace, WorkerState

log = structlog.stdlib.get_logger(__name__)

_DEEPEST = 2
_LONGEST = 500


class Expansion:
    """One attempt's reading of a list. A list within a collection adds its tracks to that collection."""

    def __init__(self, state: WorkerState, claimed: Claim, place: FetchPlace) -> None:
        self._state = state
        self._claimed = claimed
        self._place = place
        self._sense: ListSense | None = None
        self._depth = int((claimed.entry or {}).get("depth", 0)) + 1
        self._added = 0
        self._cut = 0

    async def take(self, whole: SourceInfo, entries: list[Entry]) -> None:
        """Add a batch of tracks. The first says what kind of list this is, and frees the fetching place.

        Whose list goes on after that takes a place for long ones; BusyListingError where there is none.
        """
        if self._depth > _DEEPEST:
            raise DownloadFailedError(
                ErrorCode.UNSUPPORTED_URL, "This is a list of lists of lists; hand in one of those."
            )
        is_first = self._sense is None
        if not is_first and not self._state.may_list_on(self._claimed.download_id):
            raise BusyListingError
        sense = self._sense or read_list(
            source_facts(whole),
            [replace(source_facts(entry.info), webpage_url=entry.url) for entry in entries],
            count=whole.track_count,
        )

        async def add(session: AsyncSession) -> tuple[int, int]:
            row = await self._collection(session)
            if is_first:
                claimed = self._claimed
                await host.leave(session, download_id=claimed.download_id, fence=claimed.fence)
                if claimed.parent_id is None:
                    await tracklist.begin(
                        session, collection_id=row.id, facts=_facts(sense), listing=_listing(sense)
                    )
            fitting = self._fitting(row, entries)
            tracks = await self._tracks(session, row, whole, fitting, sense) if fitting else []
            added = await tracklist.add(
                session,
                collection=row,
                audio_format=self._claimed.audio_format,
                request_id=self._claimed.request_id,
                tracks=tracks,
            )
            return added, len(entries) - len(fitting)

        added, cut = await persist(self._state, add)
        self._added += added
        self._cut += cut
        self._sense = sense
        self._place.leave()

    async def end(self, listed: Listed) -> None:
        """Close the list; what was left out is said."""
        claimed = self._claimed
        left_out = None if listed.left_out is None else listed.left_out + self._cut
        note = _left_out(left_out, self._state.settings.max_collection_items)

        async def close(session: AsyncSession) -> None:
            row = await self._collection(session)
            if claimed.parent_id is None:
                await tracklist.end(session, collection_id=row.id, note=note)
            else:
                await tracklist.replace(session, placeholder_id=claimed.download_id, note=note)
            await audit.record(
                session,
                Action.EXPAND,
                user_id=claimed.user_id,
                resource=f"download:{row.id}",
                outcome=Outcome.SUCCESS,
                details={"tracks": listed.count - self._cut, "left_out": left_out},
                origin=audit.Origin(request_id=claimed.request_id),
            )

        await persist(self._state, close)
        log.info("download.listed", tracks=listed.count, added=self._added, left_out=left_out)

    def _fitting(self, row: Download, entries: list[Entry]) -> list[Entry]:
        """Keep what a collection has room for: lists within it may be read at the same time."""
        if self._claimed.parent_id is None:
            return entries
        others = (row.items_total or 1) - 1  # the row of the list itself goes
        return entries[: max(self._state.settings.max_collection_items - others, 0)]

    async def _collection(self, session: AsyncSession) -> Download:
        """Return the locked row that the tracks belong to; LostClaimError when the attempt has been ended."""
        claimed = self._claimed
        row = await collection.lock(session, claimed.parent_id or claimed.download_id)
        if row is None or not await claim.hold(session, claimed):
            raise LostClaimError
        return row

    async def _tracks(
        self,
        session: AsyncSession,
        row: Download,
        whole: SourceInfo,
        entries: Sequence[Entry],
        sense: ListSense,
    ) -> list[NewTrack]:
        shift = 0
        if self._claimed.parent_id is not None:
            shift = await tracklist.next_position(session, collection_id=row.id) - entries[0].position
        return [self._track(entry, entry.position + shift, whole, sense) for entry in entries]

    def _track(self, entry: Entry, position: int, whole: SourceInfo, sense: ListSense) -> NewTrack:
        said = entry.info
        if not said.thumbnails:
            said = replace(said, thumbnails=whole.thumbnails[-1:])
        url = entry.url or self._claimed.url
        kept: dict[str, Any] = {
            "said": asdict(said),
            "album": asdict(sense.album) if sense.album else None,
            "place": entry.position,
            "depth": self._depth,
        }
        return NewTrack(
            url=url,
            host=host_of(url),
            position=position,
            item_position=None if entry.url else entry.position,
            title=said.track or said.title,
            artist=", ".join(said.artists)[:_LONGEST] or None,
            album=sense.album.title if sense.album else said.album,
            duration=said.duration,
            entry=kept,
        )


def _facts(sense: ListSense) -> dict[str, str | None]:
    """Return what a collection's row shows to people."""
    artist = " & ".join(sense.album.album_artists)[:_LONGEST] if sense.album else ""
    return {
        "title": sense.name,
        "album": sense.album.title if sense.album else None,
        "artist": artist or None,
        "album_artist": artist or None,
    }


def _listing(sense: ListSense) -> dict[str, Any]:
    """Return what the worker keeps of a list; `albums` are settled by their first tracks."""
    return {"kind": sense.kind, "name": sense.name, "albums": {}}


def _left_out(left_out: int | None, most: int) -> str | None:
    if left_out == 0:
        return None
    more = "More tracks were" if left_out is None else f"{left_out} more tracks were"
    if left_out == 1:
        more = "1 more track was"
    return f"{more} left out: a collection takes at most {most} (MAX_COLLECTION_ITEMS)."

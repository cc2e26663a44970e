/** A download for tests, with what is said of it. */

import type { Download } from '../api/client'

export function download(id: number, more: Partial<Download> = {}): Download {
  return {
    id,
    url: `https://source.example/${id}`,
    kind: 'track',
    parent_id: null,
    status: 'pending',
    title: null,
    artist: null,
    album: null,
    album_artist: null,
    track_number: null,
    duration: null,
    format: 'best',
    codec: null,
    bitrate: null,
    file_path: null,
    file_size: null,
    progress: null,
    items: null,
    error_code: null,
    error_message: null,
    attempts: 0,
    created_at: '2026-11-25T08:00:00Z',
    updated_at: '2026-11-25T08:00:00Z',
    started_at: null,
    completed_at: null,
    ...more,
  }
}

"""Newer yt-dlp than the one that came with the service: fetched, tried, kept, and given up again."""

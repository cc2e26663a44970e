"""From a URL to an audio file: yt-dlp and ffmpeg, each in processes that can be killed."""

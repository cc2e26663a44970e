"""The commands of `nas-music` that need more than a few lines."""

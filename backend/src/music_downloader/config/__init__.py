"""Settings, secrets and logging."""

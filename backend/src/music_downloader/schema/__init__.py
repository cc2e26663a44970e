"""The wire: what comes in and what goes out, nothing else."""

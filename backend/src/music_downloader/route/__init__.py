"""The HTTP edge: parse, make one call, return."""

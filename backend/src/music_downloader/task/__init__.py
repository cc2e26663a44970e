"""The queue's edge: each job claims, works outside any transaction, and finishes."""

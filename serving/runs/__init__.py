"""Published runs of scores: written once, hashed, switched by one pointer; and how to read them."""

from serving.runs.folder import current, named, runs, verify
from serving.runs.reader import Run

__all__ = ["Run", "current", "named", "runs", "verify"]

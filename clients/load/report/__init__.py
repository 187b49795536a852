"""The output of a run: progress, summary, page, files."""

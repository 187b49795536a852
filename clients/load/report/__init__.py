"""What people and programs see of a run: progress, summary, page, files."""

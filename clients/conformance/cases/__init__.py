"""The cases: a file for each chapter of the document, and files that generate cases from the
table."""

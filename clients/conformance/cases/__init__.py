"""The cases, a file for each chapter of the document, and those that are made from the table."""

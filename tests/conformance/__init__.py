"""The conformance suite played on this product in process, and tests of the suite itself."""

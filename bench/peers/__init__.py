"""The peers of the comparison, each started on loopback with a folder of its own."""

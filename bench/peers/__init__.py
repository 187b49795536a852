"""What the product is compared with: each peer started on loopback with a folder of its own."""

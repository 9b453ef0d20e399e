"""What is counted, how distributions are compared, and what the device itself is doing."""

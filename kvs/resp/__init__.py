"""RESP, the Redis protocol: bytes to commands and replies to bytes, without a socket in sight."""

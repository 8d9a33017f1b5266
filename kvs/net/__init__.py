"""The network: connections, the server in three designs, and the client."""

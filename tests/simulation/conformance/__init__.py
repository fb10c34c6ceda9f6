"""The model and the real broker, asked the same through the same clients, must say the same."""

"""Linear regression: moments that close on themselves."""

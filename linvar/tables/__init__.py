"""Tables of real data, read exactly as they are written."""

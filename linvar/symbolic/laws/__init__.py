"""What an example is, for the exact half: a file for each law."""

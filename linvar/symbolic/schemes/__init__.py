"""How a batch is drawn, for the exact half: moments of batch means, a file for each scheme."""

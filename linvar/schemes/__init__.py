"""How a batch is drawn: statements only, known to neither half."""

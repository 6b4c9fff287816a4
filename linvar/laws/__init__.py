"""What an example is: statements only, known to neither half."""

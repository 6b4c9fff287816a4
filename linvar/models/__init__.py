"""What the network and its loss are: statements, shared by both halves."""

"""What a network is, over any ring."""

"""The linear network: its fast structure, in which one matrix carries all the randomness of a batch."""

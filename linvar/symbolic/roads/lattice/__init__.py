"""Run SGD itself on a lattice of batch moments, modulo many primes."""

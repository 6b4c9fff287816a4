"""SGD to first order in 1/b, of any JAX loss: noise of the gradient, moments of the weights, expected losses."""

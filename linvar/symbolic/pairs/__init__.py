"""The first coefficient in 1/b of the variance of a linear network's gradient, for every width: a finite sum over pairs."""

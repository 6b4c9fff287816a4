"""The roads to an expectation. They do not know each other; ``linvar.symbolic.plan`` alone knows them."""

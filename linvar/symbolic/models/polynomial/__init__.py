"""Any loss that is a polynomial in the weights and in the coordinates of an example."""

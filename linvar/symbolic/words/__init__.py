"""Words of Wishart matrices: expectations of products of traces of the batch second moment and fixed matrices."""

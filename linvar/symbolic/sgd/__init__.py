"""SGD over any ring: what of a batch a step needs, its moments, the update, the last step."""

"""Road (d): formulas in traces, of every width, evaluated: zero-mean normal inputs, two layers at t = 1, any depth at t = 0."""

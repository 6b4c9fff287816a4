"""The kinds of entries, one a file; of those that accept an equation the first is taken."""

from __future__ import annotations

from linvar.numeric.gradients.per_example.entries import Entry
from linvar.numeric.gradients.per_example.kinds.convolution import Convolution
from linvar.numeric.gradients.per_example.kinds.dense import Dense
from linvar.numeric.gradients.per_example.kinds.lookup import Lookup, Slice

KINDS: tuple[type[Entry], ...] = (Dense, Convolution, Lookup, Slice)

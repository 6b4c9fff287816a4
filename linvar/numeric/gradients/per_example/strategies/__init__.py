"""From h and delta to moments, one function a strategy; sums of squares never lose what they add to.

Every strategy gives the same four things about the gradients g_i of a group's leaves: their mean over the examples, the sum
of squared deviations from it ("scatter", one number a leaf), and on request every ||g_i||^2 and the mean of
g_i^2 entry by entry. ``materialised`` subtracts a mean gradient before anything is squared; ``lookup``
adds up squares; ``outer`` and ``factored`` subtract n ||mean||^2 from the sum of norms, unless ``outer`` is asked for a
reference (``centred``). Sums are in at least float32.
"""

from linvar.numeric.gradients.per_example.strategies.factored import factored as factored
from linvar.numeric.gradients.per_example.strategies.lookups import lookup as lookup
from linvar.numeric.gradients.per_example.strategies.materialised import materialised as materialised
from linvar.numeric.gradients.per_example.strategies.outer import outer as outer
from linvar.numeric.gradients.per_example.strategies.quantities import Sums as Sums
from linvar.numeric.gradients.per_example.strategies.quantities import Wanted as Wanted

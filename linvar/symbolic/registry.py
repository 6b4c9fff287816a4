"""The roads to a whole polynomial that linvar brings, by name: for files and the command line, and for a plan that compares them.

``road=`` takes a user's own object too, which needs no entry here.
"""

from __future__ import annotations

from linvar.symbolic.roads.expansion.road import Expansion
from linvar.symbolic.roads.lattice.road import Lattice
from linvar.symbolic.roads.regression.road import Regression
from linvar.symbolic.roads.traces.road import Traces
from linvar.symbolic.sgd.road import Road

#: in the order in which they are compared: those that are predicted at once come first
ROADS: dict[str, Road] = {road.name: road for road in (Regression(), Expansion(), Traces(), Lattice())}

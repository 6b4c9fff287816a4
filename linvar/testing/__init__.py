"""Conformance suites for laws, models and roads of your own, laws and models in one object, and the words they are written in.

>>> import linvar as lv
>>> lv.testing.check_law(lv.Independent([lv.Rademacher()], lambda z: (z, 2 * z)))
"""

from typing import TYPE_CHECKING

from linvar.keywords import public_names
from linvar.laws.polynomial import Polynomial, coordinates
from linvar.symbolic.algebra.ring import Numbers
from linvar.symbolic.laws.law import exponents
from linvar.symbolic.sgd.batch_moments import answer_ring
from linvar.symbolic.sgd.last_step import LastStep
from linvar.symbolic.sgd.road import Integrator, Road, RoadPlan
from linvar.symbolic.sgd.steps import Steps
from linvar.symbolic.sgd.update import Update
from linvar.testing.laws import check_law
from linvar.testing.models import check_model
from linvar.testing.open_law import OpenLaw
from linvar.testing.roads import check_road

__all__ = [
    "Integrator",
    "LastStep",
    "Numbers",
    "OpenLaw",
    "Polynomial",
    "Road",
    "RoadPlan",
    "Steps",
    "Update",
    "answer_ring",
    "check_law",
    "check_model",
    "check_road",
    "coordinates",
    "exponents",
]

if not TYPE_CHECKING:  # a type checker knows the names
    __getattr__, __dir__ = public_names(__name__, __all__)

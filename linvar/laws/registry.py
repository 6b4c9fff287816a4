"""The laws that problem files may name, by kind."""

from __future__ import annotations

from linvar.laws.dataset import Dataset
from linvar.laws.finite import Finite
from linvar.laws.gaussian import Gaussian
from linvar.laws.independent import Independent
from linvar.laws.law import Law
from linvar.laws.scale_mixture import ScaleMixture

LAWS: dict[str, type[Law]] = {law.kind: law for law in (Gaussian, Dataset, Finite, Independent, ScaleMixture)}

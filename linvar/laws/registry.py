"""The laws that problem files may name, by kind."""

from __future__ import annotations

from linvar.laws.dataset import Dataset
from linvar.laws.gaussian import Gaussian
from linvar.laws.law import Law

LAWS: dict[str, type[Law]] = {law.kind: law for law in (Gaussian, Dataset)}

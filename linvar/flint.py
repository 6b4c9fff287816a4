"""python-flint, by the one way it enters: every other module of linvar takes these names from here.

python-flint ships stubs and the protocols of ``flint.typing``; from version 0.9 on they cover all of these names, and mypy is
run with such a version, so that the types of what follows are true: no value leaves this module as ``Any``. What linvar asks of
an entry of a matrix or of a ring, whoever made it, are the protocols of ``linvar.rings``; that FLINT's numbers and polynomials
are such entries is checked below.

Loading it loads python-flint: modules that must stay light (``linvar.exact``, ``linvar.laws``) import it where they need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flint import (
    arb,
    arb_mat,
    ctx,
    fmpq,
    fmpq_mat,
    fmpq_mpoly,
    fmpq_mpoly_ctx,
    fmpq_poly,
    fmpz,
    fmpz_mat,
    fmpz_poly,
    nmod_mat,
)

__all__ = [
    "arb",
    "arb_mat",
    "ctx",
    "fmpq",
    "fmpq_mat",
    "fmpq_mpoly",
    "fmpq_mpoly_ctx",
    "fmpq_poly",
    "fmpz",
    "fmpz_mat",
    "fmpz_poly",
    "nmod_mat",
]

if TYPE_CHECKING:
    from flint.typing import mpoly_context_p, mpoly_p, poly_p, scalar_p

    from linvar.rings import RingElement

    _scalars: tuple[scalar_p, scalar_p] = (fmpz(1), fmpq(1))
    _polynomials: tuple[poly_p[fmpz], poly_p[fmpq]] = (fmpz_poly([1]), fmpq_poly([1]))
    _context: mpoly_context_p[fmpq_mpoly, fmpq] = fmpq_mpoly_ctx.get(("x",))
    _several: mpoly_p[fmpq] = _context.gen(0)
    _integer: RingElement[fmpz] = fmpz(1)
    _rational: RingElement[fmpq] = fmpq(1)
    _enclosure: RingElement[arb] = arb(1)
    _polynomial: RingElement[fmpq_mpoly] = _context.gen(0)

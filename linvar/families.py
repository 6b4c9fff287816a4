"""Losses that the field studies, each of ONE example and polynomial in its weights: ``Problem(loss=families.diagonal, ...)``.

Linear in the input: diagonal, power, product (reparametrised regression); residual, biased, low_rank (deep linear networks);
recurrence, convolution (shared weights); autoencoder (tied). Quadratic in it, or of higher degree: quadratic, bilinear,
phase_retrieval, linear_attention. Of matrices: factorisation, sensing. Not of squares: quartic.

An example is (x, y) of shapes (d,) and (m,) unless the docstring says otherwise; (1,) where there is one output. Arguments are
bound by name: ``functools.partial(families.power, depth=3)``. ``print(*families.table(), sep="\\n")`` lists them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from math import lcm
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from linvar.catalogue import Family, catalogue
from linvar.errors import InputError, Words
from linvar.exact import Rational, exact_matrix
from linvar.keywords import public_names

__all__ = [
    "diagonal", "power", "product", "residual", "biased", "low_rank", "recurrence", "convolution", "autoencoder", "quadratic",
    "bilinear", "phase_retrieval", "linear_attention", "factorisation", "sensing", "quartic",
]  # fmt: skip

if not TYPE_CHECKING:  # a type checker knows the names
    __getattr__, __dir__ = public_names(__name__, [*__all__, "table"])

Params = Mapping[str, Array]
Pair = tuple[Array, Array]


def table() -> tuple[Family, ...]:
    """Every family, as its docstring has it.

    >>> table()[1].name, table()[1].degree
    ('power', '2 depth.')
    """
    return catalogue(globals()[name] for name in __all__)


def _half_square(prediction: Array, y: Array) -> Array:
    """1/2 ||prediction - y||^2."""
    return (_misfit(prediction, y) ** 2).sum() / 2


def _misfit(prediction: Array, y: Array) -> Array:
    """prediction - y, in one row; numbers and arrays of one entry are the same."""
    if jnp.size(prediction) != jnp.size(y):
        fault = Words(f"predicts {jnp.size(prediction)} numbers, and the target of an example has {jnp.size(y)}")
        raise InputError("loss", fault, "change the weights, the inputs or the targets")
    return jnp.reshape(prediction, -1) - jnp.reshape(y, -1)


def diagonal(params: Params, example: Pair, *, depth: int = 2) -> Array:
    """The diagonal network: 1/2 ((u^depth - v^depth) . x - y)^2, powers entry by entry.

    Degree: 2 depth.
    Weights: u and v, (d,).
    Source: Woodworth et al., Kernel and rich regimes in overparametrized models (2020), arXiv:2002.09277.
    Fact: noise shrinks the effective initialisation u * v, which gradient flow keeps (depth 2; Pesme, Pillaud-Vivien & Flammarion
        2021, arXiv:2106.09524): after a step E (u * v)_1 = u * v * (1 - 4 rate^2 E h^2), h the batch mean of (prediction - y) x.

    >>> import linvar as lv
    >>> start = lv.Problem({"u": [1, 0], "v": [0, 0]}, lv.Dataset([[1, 2], [2, 1]], [3, 0]), "1/10", 1, loss=diagonal)
    >>> lv.derive(start).per_leaf.variance["v"]  # what is 0 has no noise and stays
    0    (u = 1/b, degree 0)
    """
    x, y = example
    return _half_square((params["u"] ** depth - params["v"] ** depth) @ x, y)


def power(params: Params, example: Pair, *, depth: int = 2) -> Array:
    """Regression on powers: 1/2 (u^depth . x - y)^2, powers entry by entry.

    Degree: 2 depth.
    Weights: u, (d,).
    Source: HaoChen, Wei, Lee & Ma, Shape matters: the implicit bias of the noise covariance (2021), arXiv:2006.08680.
    Fact: with label noise of variance s^2 on rows that are fitted, noise is proportional to u (HaoChen et al.; depth 2):
        Cov G = 4 s^2/b diag(u) (E x x^T) diag(u).

    >>> import linvar as lv
    >>> law = lv.Gaussian([[1, 4]], noise_variance="1/4")  # u * u = (1, 4)
    >>> lv.gradient_variance(lv.Problem({"u": [1, 2]}, law, loss=power))  # 4 * 1/4 * (1 + 4)
    5 u    (u = 1/b, degree 1)
    """
    x, y = example
    return _half_square(params["u"] ** depth @ x, y)


def product(params: Params, example: Pair) -> Array:
    """Regression on products: 1/2 ((u * v) . x - y)^2.

    Degree: 4.
    Weights: u and v, (d,).
    Source: Even, Pesme, Gunasekar & Flammarion, (S)GD over diagonal linear networks (2023), arXiv:2302.08982.
    Fact: a step multiplies u^2 - v^2 by 1 - rate^2 h^2 (the gain of Even et al.), entry by entry, h the batch mean of
        (prediction - y) x; so E (u^2 - v^2)_1 = (u^2 - v^2) (1 - rate^2 E h^2), a polynomial in 1/b.

    >>> import linvar as lv
    >>> balanced = lv.Problem({"u": [2], "v": [2]}, lv.Dataset([[1], [2]], [3, 0]), "1/10", 1, loss=product)
    >>> lv.derive(balanced).weights["u"] == lv.derive(balanced).weights["v"]
    True
    """
    x, y = example
    return _half_square((params["u"] * params["v"]) @ x, y)


def residual(params: Sequence[Array], example: Pair) -> Array:
    """The linear residual network: 1/2 ||(I + W_L) ... (I + W_1) x - y||^2.

    Degree: 2 L.
    Weights: a tuple (W_1, ..., W_L), each (d, d).
    Source: Hardt & Ma, Identity matters in deep learning (2017), arXiv:1611.04231.
    Fact: where all ||W_l|| <= tau < 1, critical points are global minima (Hardt & Ma): ||grad||^2 >= 2 L (1 - tau)^(2L-2) lambda
        (loss - least loss), lambda the least eigenvalue of E x x^T. SGD is that of the linear network with I + W_l.

    >>> import linvar as lv
    >>> rows = lv.Dataset([[1, 2], [0, 1]], [[1, 0], [2, 1]])
    >>> ours = lv.Problem(([["1/2", 0], [1, 0]], [[0, 1], [0, 0]]), rows, "1/10", 1, loss=residual)
    >>> theirs = lv.Problem([[["3/2", 0], [1, 1]], [[1, 1], [0, 1]]], rows, "1/10", 1)
    >>> lv.gradient_variance(ours) == lv.gradient_variance(theirs)
    True
    """
    x, y = example
    return _half_square(reduce(lambda h, matrix: h + matrix @ h, params, x), y)


def biased(params: Sequence[Params], example: Pair) -> Array:
    """The deep linear network with biases: 1/2 ||W_L (... (W_1 x + c_1) ...) + c_L - y||^2.

    Degree: 2 L.
    Weights: a tuple of L dictionaries, W (d_l, d_(l-1)) and c (d_l,).
    Source: Bishop, Pattern Recognition and Machine Learning (2006), 3.1, for one layer.
    Fact: a bias is the weight of an input that is always 1 (Bishop, 3.1): one layer is linear regression on (x, 1).

    >>> import linvar as lv
    >>> ours = lv.Problem(({"W": [[1, 2]], "c": [3]},), lv.Dataset([[1, 0], [2, 1]], [1, 0]), "1/10", 1, loss=biased)
    >>> theirs = lv.Problem([[[1, 2, 3]]], lv.Dataset([[1, 0, 1], [2, 1, 1]], [1, 0]), "1/10", 1)
    >>> lv.gradient_variance(ours) == lv.gradient_variance(theirs)
    True
    >>> lv.gradient_variance(ours) == lv.gradient_variance(
    ...     lv.Problem([([[1, 2]], [3])], ours.law, "1/10", 1, bias=True)  # the same, and faster the wider it is
    ... )
    True
    """
    x, y = example
    return _half_square(reduce(lambda h, layer: layer["W"] @ h + layer["c"], params, x), y)


def low_rank(params: Params, example: Pair, *, base: Sequence[Sequence[Any]]) -> Array:
    """A layer that is adapted at low rank (LoRA): 1/2 ||(base + B A) x - y||^2.

    Degree: 4.
    Weights: A, (r, d), and B, (m, r). ``base`` is none: an (m, d) tuple of tuples of exact numbers, bound to the loss.
    Source: Hu et al., LoRA: low-rank adaptation of large language models (2022), arXiv:2106.09685.
    Fact: at the start B = 0 of LoRA the gradient of A is 0 in every batch, and the first step of B is that of linear regression
        of y - base x on A x: mean, covariance and variance.

    >>> import functools
    >>> import linvar as lv
    >>> loss, law = functools.partial(low_rank, base=((1, "1/2"),)), lv.Dataset([[1, 2], [0, 1]], [1, 0])
    >>> lv.derive(lv.Problem({"A": [[1, 1]], "B": [[0]]}, law, loss=loss)).per_leaf.variance
    {'A': 0    (u = 1/b, degree 0), 'B': 25/16 u    (u = 1/b, degree 1)}
    """
    x, y = example
    return _half_square(_matrix(base, "base") @ x + params["B"] @ (params["A"] @ x), y)


def _matrix(value: Sequence[Sequence[Any]], name: str) -> Array:
    """Exact numbers as integers over their common denominator."""
    rows = [[entry for entry in row if isinstance(entry, Rational)] for row in exact_matrix(value, name)]
    if [*map(len, rows)] != [*map(len, value)]:
        raise InputError(name, value, "give rows of numbers", fault="contains symbols")
    scale = lcm(*(entry.denominator for row in rows for entry in row))
    return jnp.asarray([[float(entry * scale) for entry in row] for row in rows]) / scale


def recurrence(params: Params, example: Pair) -> Array:
    """The linear recurrence h_k = A h_(k-1) + c x_k, h_0 = 0: 1/2 (d . h_T - y)^2.

    Degree: 2 T + 2.
    Weights: A, (k, k), c and d, (k,).
    Example: a sequence x of T numbers, y of shape (1,).
    Source: Hardt, Ma & Recht, Gradient descent learns linear dynamical systems (2018), arXiv:1609.05191.
    Fact: (S A S^-1, S c, d S^-1) is the same system (Hardt, Ma & Recht), of the same loss, and for orthogonal S of the same
        noise at every step; its loss is that of linear regression with its impulse response, d A^(T-k) c at x_k.

    >>> import linvar as lv
    >>> system, law = {"A": [["1/2"]], "c": [2], "d": [3]}, lv.Dataset([[1, 2, 3], [0, 1, 0]], [1, 0])
    >>> ours = lv.expected_loss(lv.Problem(system, law, loss=recurrence))
    >>> ours == lv.expected_loss(lv.Problem([[["3/2", 3, 6]]], law))
    True
    """
    x, y = example
    matrix, gain, readout = (params[name] for name in "Acd")
    state, _ = jax.lax.scan(lambda h, entry: (matrix @ h + gain * entry, None), jnp.zeros_like(gain), x)
    return _half_square(readout @ state, y)


def convolution(params: Sequence[Array], example: Pair) -> Array:
    """The linear convolutional network, stride 1: 1/2 ||k_L * (... (k_1 * x)) - y||^2, (k * x)_i = sum_j k_j x_(i+j).

    Degree: 2 L.
    Weights: a tuple of L kernels, (s_l,).
    Example: x, (d,), and y of the entries that the kernels leave, d - sum_l (s_l - 1).
    Source: Kohn, Merkh, Montufar & Trager, Geometry of linear convolutional networks (2022), arXiv:2108.01538.
    Fact: filters multiply like polynomials (Kohn et al.): the loss is that of one layer whose kernel has the coefficients of
        prod_l sum_j k_l,j z^j, so layers may change places, at every step.

    >>> import linvar as lv
    >>> law = lv.Dataset([[1, 2, 3], [0, 1, 0]], [1, 0])
    >>> ours = lv.expected_loss(lv.Problem(([1, 2], [3, -1]), law, loss=convolution))
    >>> ours == lv.expected_loss(lv.Problem(([3, 5, -2],), law, loss=convolution))  # (1 + 2 z) (3 - z)
    True
    """
    x, y = example
    for kernel in params:
        if kernel.size > x.size:
            raise InputError("loss", Words("has a kernel longer than its input"), "give shorter kernels")
        x = jnp.convolve(x, kernel[::-1], mode="valid")
    return _half_square(x, y)


def autoencoder(params: Params, example: Any) -> Array:
    """The linear autoencoder with tied weights: 1/2 ||W^T W x - x||^2.

    Degree: 4.
    Weights: W, (k, d).
    Example: a row x of shape (d,), or a pair (x, y) whose y is not looked at.
    Source: Ghosh, Frei, Ha & Yu, The effect of SGD batch size on autoencoder learning (2025), arXiv:2308.03215, one unit.
    Fact: on orthonormal rows SGD ends at one of them, up to its sign, for every b < n, and full batches keep the direction of
        W_0 (Ghosh et al.). At ||W|| = 1 the noise is (1 - sum_i (W x_i)^4) / (n b), which vanishes at the rows alone.

    >>> import linvar as lv
    >>> rows = lv.Dataset([[1, 0], [0, 1]], [0, 0])
    >>> lv.gradient_variance(lv.Problem({"W": [["3/5", "4/5"]]}, rows, loss=autoencoder))  # (1 - (81 + 256)/625)/2
    144/625 u    (u = 1/b, degree 1)
    """
    x = example[0] if isinstance(example, tuple) else example
    return _half_square(params["W"].T @ (params["W"] @ x), x)


def quadratic(params: Params, example: Pair) -> Array:
    """Two layers with the activation z^2: 1/2 ||a (W x)^2 - y||^2, the square entry by entry.

    Degree: 6.
    Weights: W, (k, d), and a, (m, k), or (k,) for one output.
    Source: Du & Lee, On the power of over-parametrization in neural networks with quadratic activation (2018), arXiv:1803.01206.
    Fact: (W, a) -> (c W, a/c^2) is an exponential symmetry: in small steps noise alone moves C = ||W||^2 - 2 ||a||^2 (Ziyin et
        al. 2024, arXiv:2402.07193); exactly, E C_1 = C_0 + rate^2 (E||G_W||^2 - 2 E||G_a||^2).

    >>> import linvar as lv
    >>> lv.gradient_variance(lv.Problem({"W": [[1, 1]], "a": [0]}, lv.Gaussian([[1, 0]]), loss=quadratic))  # Var y (x_1 + x_2)^2
    36 u    (u = 1/b, degree 1)
    """
    x, y = example
    return _half_square(params["a"] @ (params["W"] @ x) ** 2, y)


def bilinear(params: Params, example: Pair) -> Array:
    """A gated linear unit without the sigmoid: 1/2 ||a ((V x) * (W x)) - y||^2.

    Degree: 6.
    Weights: V and W, (k, d), and a, (m, k), or (k,) for one output.
    Source: Shazeer, GLU variants improve Transformer (2020), arXiv:2002.05202, "Bilinear".
    Fact: V and W may change places, at every step; where they are equal the loss is that of ``quadratic``, and each of them has
        half of its gradient, a quarter of its variance.

    >>> import linvar as lv
    >>> unit = lv.Problem({"V": [[1, 2]], "W": [[1, 2]], "a": [1]}, lv.Gaussian([[1, 0]]), loss=bilinear)
    >>> whole = lv.Problem({"W": [[1, 2]], "a": [1]}, lv.Gaussian([[1, 0]]), loss=quadratic)
    >>> 4 * lv.derive(unit).per_leaf.variance["V"] == lv.derive(whole).per_leaf.variance["W"]
    True
    """
    x, y = example
    return _half_square(params["a"] @ ((params["V"] @ x) * (params["W"] @ x)), y)


def phase_retrieval(params: Params, example: Pair) -> Array:
    """Real phase retrieval: 1/2 ((w . x)^2 - y)^2.

    Degree: 4.
    Weights: w, (d,).
    Source: Candes, Li & Soltanolkotabi, Phase retrieval via Wirtinger flow (2015), arXiv:1407.1065.
    Fact: for x ~ N(0, I), y = (w* . x)^2, ||w*|| = 1, the mean gradient is 2 (3 ||w||^2 - 1) w - 4 (w* . w) w* (Chen, Chi, Fan &
        Ma 2019, arXiv:1803.07726, whose loss is half of this one); at w*, -w* and 0 there is no noise.

    >>> import linvar as lv
    >>> law = lv.Independent([lv.Normal(), lv.Normal()], lambda z: (z, z[0] ** 2))  # w* = (1, 0)
    >>> lv.expected_weights(lv.Problem({"w": [1, 1]}, law, "1/10", 1, loss=phase_retrieval))["w"]
    [2/5    (u = 1/b, degree 0), 0    (u = 1/b, degree 0)]
    """
    x, y = example
    return _half_square((params["w"] @ x) ** 2, y)


def linear_attention(params: Params, example: Pair) -> Array:
    """One head of linear attention that regresses in context: 1/2 (v/n sum_i y_i (x_i . M q) - y)^2.

    Degree: 4.
    Weights: M, (d, d), and v, one number.
    Example: x the pairs of the context one after another, then the query, x_1, y_1, ..., x_n, y_n, q, of shape
        (n (d + 1) + d,); y the target of q, (1,).
    Source: von Oswald et al., Transformers learn in-context by gradient descent (2023), arXiv:2212.07677.
    Fact: M = I, v = rate predict as one step of gradient descent from 0 on the context does (von Oswald et al.); for x, q, w ~
        N(0, I) and y = w . x, M = n/(n + d + 1) I, v = 1 is critical (Zhang, Frei & Bartlett 2024, arXiv:2306.09927).

    >>> import linvar as lv
    >>> prompt = lv.Dataset([[1, 2, 3, 1, 5]], [4])  # pairs (1, 2), (3, 1), query 5: prediction 1/2 (2 + 3) 5 / 10
    >>> lv.expected_loss(lv.Problem({"M": [[1]], "v": "1/10"}, prompt, loss=linear_attention))
    121/32    (u = 1/b, degree 0)
    """
    x, y = example
    width = params["M"].shape[0]
    if x.size % (width + 1) != width or x.size == width:
        fault = Words(f"takes prompts of n ({width} + 1) + {width} numbers for M of width {width}, and x has {x.size}")
        raise InputError("loss", fault, "write x_1, y_1, ..., x_n, y_n, then the query, in one row")
    context, query = x[:-width].reshape(-1, width + 1), x[-width:]
    scores = context[:, :width] @ (params["M"] @ query)
    return _half_square(params["v"] * (context[:, width] @ scores) / context.shape[0], y)


def factorisation(params: Params, example: tuple[Array, Array, Array]) -> Array:
    """Matrix completion by two factors: 1/2 (U_i . V_j - y)^2.

    Degree: 4.
    Weights: U, (m, r), and V, (n, r).
    Example: a row (i, j, y) of ``Dataset(rows)``: integers from 0, and the entry of the matrix there.
    Source: Ziyin, Li & Ueda, Law of balance and stationary distribution of SGD (2023), arXiv:2308.06671, for its symmetry.
    Fact: gradient flow keeps ||U||^2 - ||V||^2 (Du, Hu & Lee 2018, arXiv:1806.00900), noise moves it (Ziyin, Li & Ueda): a step
        changes its mean by rate^2 (E||G_U||^2 - E||G_V||^2).

    >>> import linvar as lv
    >>> entries = lv.Dataset([(0, 0, 1), (0, 1, 2), (1, 1, "1/2")])
    >>> solved = lv.Problem({"U": [[1], ["1/4"]], "V": [[1], [2]]}, entries, "1/10", 3, loss=factorisation)
    >>> lv.gradient_variance(solved)  # every row is fitted: no noise, at any step
    0    (u = 1/b, degree 0)
    """
    row, column, y = example
    left, right = params["U"].at[row].get(mode="fill"), params["V"].at[column].get(mode="fill")  # nothing outside
    return _half_square((left * right).sum(), y)


def sensing(params: Params, example: Pair) -> Array:
    """Symmetric matrix sensing: 1/2 (<A, U U^T> - y)^2, <A, B> = sum_ij A_ij B_ij.

    Degree: 4.
    Weights: U, (d, r).
    Example: (A, y), A of shape (d, d), or its rows one after another, (d d,).
    Source: Gunasekar et al., Implicit regularization in matrix factorization (2017), arXiv:1705.09280.
    Fact: for A = x x^T it is a layer of squares (Li, Ma & Zhang 2018, arXiv:1712.09203), and of rank 1 phase retrieval.

    >>> import linvar as lv
    >>> ours = lv.Problem({"U": [[1], [2]]}, lv.Dataset([[1, 1, 1, 1], [4, 0, 0, 0]], [1, 2]), "1/10", 1, loss=sensing)
    >>> theirs = lv.Problem({"w": [1, 2]}, lv.Dataset([[1, 1], [2, 0]], [1, 2]), "1/10", 1, loss=phase_retrieval)
    >>> lv.gradient_variance(ours) == lv.gradient_variance(theirs)
    True
    """
    matrix, y = example
    product = params["U"] @ params["U"].T
    return _half_square((jnp.reshape(matrix, product.shape) * product).sum(), y)


def quartic(params: Params, example: Pair) -> Array:
    """Linear regression with the fourth power in place of the square: 1/4 sum_k (w x - y)_k^4.

    Degree: 4.
    Weights: w, (d,), or (m, d).
    Source: Walach & Widrow, The least mean fourth (LMF) adaptive algorithm and its family, IEEE Trans. Inf. Theory 30 (1984).
    Fact: with label noise e, at the teacher the noise is E[e^6] tr(E x x^T)/b; with the time constant of least squares its steps
        can be quieter (Walach & Widrow): their variance is E[e^6] / (9 E[e^2]^3) times as large, 3/7 for uniform e.

    >>> import linvar as lv
    >>> law = lv.Gaussian([[1, 2]], noise_variance=1)
    >>> lv.gradient_variance(lv.Problem({"w": [1, 2]}, law, loss=quartic))  # 15 * 2
    30 u    (u = 1/b, degree 1)
    """
    x, y = example
    return (_misfit(params["w"] @ x, y) ** 4).sum() / 4

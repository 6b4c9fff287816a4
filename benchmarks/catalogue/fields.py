"""Fields, differential equations and simulations."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from catalogue.registry import Draw, Made, dense, model


@model()
def physics_informed(small: bool) -> Made:
    """A physics-informed network: the residual of a heat equation at the points of an example."""
    points, width, n = (2, 4, 4) if small else (16, 48, 32)
    draw = Draw()

    def field(p, x, t):
        h = jnp.stack([x, t])
        for layer in p[:-1]:
            h = jnp.tanh(dense(layer, h))
        return dense(p[-1], h)[0]

    def residual(p, x, t):
        second = jax.grad(jax.grad(field, 1), 1)(p, x, t)
        return jax.grad(field, 2)(p, x, t) - 0.1 * second

    def loss(p, example):
        x, t = example
        return jnp.mean(jax.vmap(residual, (None, 0, 0))(p, x, t) ** 2)

    params = [draw.dense(2, width), draw.dense(width, width), draw.dense(width, 1)]
    return loss, params, (draw.uniform(n, points), draw.uniform(n, points)), {}


@model()
def siren(small: bool) -> Made:
    """A sinusoidal field, many points an example."""
    points, width, n = (3, 4, 4) if small else (64, 64, 32)
    draw = Draw()

    def loss(p, example):
        x, y = example
        for layer in p[:-1]:
            x = jnp.sin(30 * dense(layer, x))
        return jnp.mean((dense(p[-1], x) - y) ** 2)

    hidden = [{"w": draw.weight(width, width) / 30, "b": draw.normal(width) / 30} for _ in range(2)]
    params = [draw.dense(2, width), *hidden, draw.dense(width, 3)]
    return loss, params, (draw.uniform(n, points, 2), draw.uniform(n, points, 3)), {}


@model()
def radiance_field(small: bool) -> Made:
    """A radiance field: encoded points along a ray, densities, alpha compositing."""
    points, width, n = (3, 5, 4) if small else (32, 64, 64)
    draw = Draw()
    frequencies = 2.0 ** np.arange(4)

    def loss(p, example):
        start, direction, colour = example
        depth = jnp.linspace(0.1, 1, points, dtype=start.dtype)
        x = start + depth[:, None] * direction
        angles = (x[..., None] * frequencies.astype("float32")).reshape(points, -1)
        h = jnp.concatenate([x, jnp.sin(angles), jnp.cos(angles)], axis=-1)
        for name in ("a", "b", "c"):
            h = jax.nn.relu(dense(p[name], h))
        out = dense(p["out"], h)
        opaque = 1 - jnp.exp(-jax.nn.softplus(out[:, 0]) / points)
        clear = jnp.concatenate([jnp.ones(1, h.dtype), jnp.cumprod(1 - opaque)[:-1]])
        return jnp.sum(((opaque * clear) @ jax.nn.sigmoid(out[:, 1:]) - colour) ** 2)

    params = {"a": draw.dense(27, width), "b": draw.dense(width, width), "c": draw.dense(width, width)}
    params["out"] = draw.dense(width, 4)
    return loss, params, (draw.normal(n, 3), draw.normal(n, 3), draw.uniform(n, 3)), {}


@model()
def grid_lookup(small: bool) -> Made:
    """A learned grid of features, interpolated between the eight corners of a point."""
    side, width, points, n = (3, 2, 2, 5) if small else (24, 8, 32, 128)
    draw = Draw()
    corners = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(8, 3)

    def loss(p, example):
        x, y = example
        low = jnp.floor(x * (side - 1)).astype(int)
        part = x * (side - 1) - low
        at = jnp.minimum(low[:, None] + corners, side - 1)
        weights = jnp.prod(jnp.where(corners == 1, part[:, None], 1 - part[:, None]), axis=-1)
        features = jnp.sum(weights[..., None] * p["grid"][at[..., 0], at[..., 1], at[..., 2]], axis=1)
        return jnp.mean((dense(p["b"], jax.nn.relu(dense(p["a"], features))) - y) ** 2)

    params = {"grid": draw.normal(side, side, side, width), "a": draw.dense(width, 32), "b": draw.dense(32, 3)}
    return loss, params, (draw.uniform(n, points, 3), draw.uniform(n, points, 3)), {}


@model()
def interpolated_curve(small: bool) -> Made:
    """A learned curve given at knots, linear between them."""
    knots, points, n = (5, 3, 6) if small else (2_000, 256, 256)
    draw = Draw()
    places = np.linspace(0, 1, knots).astype("float32")

    def loss(p, example):
        x, y = example
        return jnp.mean((jnp.interp(x, places.astype(x.dtype), p["heights"]) * p["scale"] - y) ** 2)

    params = {"heights": draw.normal(knots), "scale": np.float32(1)}
    return loss, params, (draw.uniform(n, points), draw.normal(n, points)), {}


@model()
def neural_ode(small: bool) -> Made:
    """A neural differential equation in fixed steps of Runge and Kutta."""
    width, hidden, steps, n = (2, 3, 3, 5) if small else (16, 64, 10, 64)
    draw = Draw()

    def loss(p, example):
        x, y = example

        def slope(x):
            return dense(p["b"], jnp.tanh(dense(p["a"], x)))

        def step(x, _):
            h = 1 / steps
            k1 = slope(x)
            k2 = slope(x + h / 2 * k1)
            k3 = slope(x + h / 2 * k2)
            k4 = slope(x + h * k3)
            return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

        x, _ = jax.lax.scan(step, x, None, length=steps)
        return jnp.sum((x - y) ** 2)

    params = {"a": draw.dense(width, hidden), "b": draw.dense(hidden, width)}
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model(tolerance=1e-6)
def ode_adjoint(small: bool) -> Made:
    """A neural differential equation by jax.experimental.ode.odeint, differentiated by its adjoint."""
    from jax.experimental.ode import odeint

    width, hidden, n = (2, 3, 5) if small else (4, 16, 8)
    draw = Draw()
    accuracy = 1e-10 if small else 1e-6

    def slope(x, _, p):
        return jnp.tanh(x @ p["a"]) @ p["b"]

    def loss(p, example):
        x, y = example
        path = odeint(slope, x, jnp.asarray([0.0, 1.0], x.dtype), p, rtol=accuracy, atol=accuracy)
        return jnp.sum((path[-1] - y) ** 2)

    params = {"a": draw.normal(width, hidden) * 0.5, "b": draw.normal(hidden, width) * 0.3}
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model()
def pendulum(small: bool) -> Made:
    """A simulated driven pendulum with a few unknown constants, fitted to measured paths."""
    steps, n = (5, 6) if small else (200, 512)
    draw = Draw()

    def loss(p, example):
        start, force, measured = example

        def step(state, push):
            angle, speed = state
            change = -p["gravity"] * jnp.sin(angle) - jnp.exp(p["log_friction"]) * speed + p["gain"] * push
            speed = speed + 0.02 * change
            angle = angle + 0.02 * speed
            return (angle, speed), angle

        _, path = jax.lax.scan(step, (start[0], start[1]), force)
        return jnp.mean((path - measured) ** 2)

    params = {"gravity": np.float32(9.8), "log_friction": np.float32(-2), "gain": np.float32(0.5)}
    return loss, params, (draw.normal(n, 2), draw.normal(n, steps), draw.normal(n, steps)), {}


@model()
def hamiltonian(small: bool) -> Made:
    """A Hamiltonian network: the gradient of a learned energy is the vector field."""
    width, hidden, n = (2, 4, 5) if small else (8, 128, 512)
    draw = Draw()

    def energy(p, q, m):
        h = jnp.tanh(dense(p["a"], jnp.concatenate([q, m])))
        return jnp.sum(dense(p["c"], jnp.tanh(dense(p["b"], h))))

    def loss(p, example):
        q, m, dq, dm = example
        by_q, by_m = jax.grad(energy, (1, 2))(p, q, m)
        return jnp.sum((by_m - dq) ** 2) + jnp.sum((by_q + dm) ** 2)

    params = {"a": draw.dense(2 * width, hidden), "b": draw.dense(hidden, hidden), "c": draw.dense(hidden, 1)}
    return loss, params, tuple(draw.normal(n, width) for _ in range(4)), {}


@model()
def fourier_operator(small: bool) -> Made:
    """A Fourier neural operator: learned complex multipliers of the low frequencies."""
    points, width, modes, n = (6, 2, 2, 4) if small else (64, 16, 12, 32)
    draw = Draw()

    def loss(p, example):
        x, y = example
        x = x[:, None] * p["in"]
        for q in p["layers"]:
            spectrum = jnp.fft.rfft(x, axis=0)[:modes]
            spectrum = jnp.einsum("mi,mio->mo", spectrum, q["real"] + 1j * q["imag"])
            x = jax.nn.gelu(jnp.fft.irfft(spectrum, points, axis=0) + x @ q["w"])
        return jnp.mean((x @ p["out"] - y) ** 2)

    params = {
        "in": draw.normal(1, width),
        "layers": [
            {
                "real": draw.stacked(modes, width, width), "imag": draw.stacked(modes, width, width),
                "w": draw.weight(width, width),
            }
            for _ in range(2)
        ],
    }  # fmt: skip
    params["out"] = draw.normal(width) / width**0.5
    return loss, params, (draw.normal(n, points), draw.normal(n, points)), {}


@model()
def denoising_diffusion(small: bool) -> Made:
    """Denoising diffusion: noise and time drawn for every example, a residual network of both."""
    width, hidden, n = (3, 4, 6) if small else (64, 256, 128)
    draw = Draw()

    def loss(p, x, key):
        first, second = jax.random.split(key)
        t = jax.random.uniform(first, (), x.dtype)
        noise = jax.random.normal(second, x.shape, x.dtype)
        seen = jnp.sqrt(1 - t) * x + jnp.sqrt(t) * noise
        time = jnp.sin(t * jnp.arange(1, 9))
        h = dense(p["in"], seen) + time @ p["time"]
        for q in p["layers"]:
            h = h + dense(q["b"], jax.nn.silu(dense(q["a"], h)))
        return jnp.mean((dense(p["out"], h) - noise) ** 2)

    params = {
        "in": draw.dense(width, hidden), "time": draw.weight(8, hidden), "out": draw.dense(hidden, width),
        "layers": [{"a": draw.dense(hidden, hidden), "b": draw.dense(hidden, hidden)} for _ in range(2)],
    }  # fmt: skip
    return loss, params, draw.normal(n, width), {"key": jax.random.key(0)}

"""BackPACK, Opacus and torch.func on the models of gradient_moments_speed.py, from the same weights and data.

    pip install '.[peers]'

Each call gives the mean gradient and what the peer has of its spread: BackPACK's Variance (elementwise) or BatchL2Grad
(per-example norms), Opacus's ghost norms, torch.func's per-example gradients reduced to a trace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gradient_moments_models import Model
from torch import nn


def network(model: Model) -> tuple[nn.Module, nn.Module, torch.Tensor, torch.Tensor]:
    """The network with the model's weights, its loss (a mean over the batch), inputs, targets."""
    x, y = (torch.from_numpy(np.array(a)) for a in model.batch)
    layers: list[nn.Module] = []
    if model.name in "ABC":
        for i, (weight, *bias) in enumerate(model.params):
            layer = nn.Linear(*weight.shape, bias=bool(bias))
            layer.weight.data = torch.from_numpy(weight.T.copy())
            if bias:
                layer.bias.data = torch.from_numpy(bias[0].copy())
            layers += [layer, nn.ReLU()] if bias and i + 1 < len(model.params) else [layer]
        return nn.Sequential(*layers), nn.MSELoss(), x, y
    if model.name == "D":
        for name in ("conv1", "conv2"):
            weight, bias = model.params[name]
            layer = nn.Conv2d(weight.shape[2], weight.shape[3], 5)
            layer.weight.data = torch.from_numpy(weight.transpose(3, 2, 0, 1).copy())
            layer.bias.data = torch.from_numpy(bias.copy())
            layers += [layer, nn.ReLU(), nn.MaxPool2d(2)]
        layers.append(nn.Flatten())
        for i, name in enumerate(("dense1", "dense2", "dense3")):
            weight, bias = model.params[name]
            if i == 0:  # channels last there, first here
                weight = weight.reshape(4, 4, 16, -1).transpose(2, 0, 1, 3).reshape(weight.shape)
            dense = nn.Linear(*weight.shape)
            dense.weight.data = torch.from_numpy(weight.T.copy())
            dense.bias.data = torch.from_numpy(bias.copy())
            layers += [dense, nn.ReLU()] if i < 2 else [dense]
        return nn.Sequential(*layers), nn.CrossEntropyLoss(), x.permute(0, 3, 1, 2).contiguous(), y
    raise ValueError(f"model {model.name}: no PyTorch twin")


def peer_rows(model: Model) -> tuple[Callable[[], Any], dict[str, Callable[[], Any]]]:
    """The plain gradient in PyTorch, and every peer that can do this model."""
    if model.name == "T":
        return transformer_rows(model)
    net, loss, x, y = network(model)

    def plain() -> None:
        net.zero_grad()
        loss(net(x), y).backward()

    return plain, {
        **backpack_rows(model),
        "Opacus, ghost norms": opacus_row(model),
        "torch.func vmap(grad)": func_row(net, loss, x, y),
    }


def backpack_rows(model: Model) -> dict[str, Callable[[], Any]]:
    """Elementwise variance, and per-example norms."""
    from backpack import backpack, extend
    from backpack.extensions import BatchL2Grad, Variance

    net, loss, x, y = network(model)
    net, loss = extend(net), extend(loss)

    def call(extension: Any) -> None:
        net.zero_grad()
        with backpack(extension):
            loss(net(x), y).backward()

    return {"BackPACK Variance": lambda: call(Variance()), "BackPACK BatchL2Grad": lambda: call(BatchL2Grad())}


def opacus_row(model: Model) -> Callable[[], Any]:
    """Per-example norms without per-example gradients; the backward pass of the norms, without the second one."""
    from opacus.grad_sample import GradSampleModuleFastGradientClipping

    net, loss, x, y = network(model)
    wrapped = GradSampleModuleFastGradientClipping(net, max_grad_norm=1.0, use_ghost_clipping=True)

    def call() -> None:
        wrapped.zero_grad()
        loss(wrapped(x), y).backward()
        wrapped.get_norm_sample()

    return call


def func_row(net: nn.Module, loss: nn.Module, x: Any, y: Any) -> Callable[[], Any]:
    """vmap(grad), reduced to mean and trace."""
    params = {name: p.detach() for name, p in net.named_parameters()}

    def of_one(params: Any, x: Any, y: Any) -> Any:
        return loss(torch.func.functional_call(net, params, (x[None],)), y[None])

    gradients = torch.func.vmap(torch.func.grad(of_one), in_dims=(None, 0, 0))

    def call() -> Any:
        with torch.no_grad():
            found = gradients(params, x, y)
            means = {name: g.mean(0) for name, g in found.items()}
            return means, sum(((g - means[name]) ** 2).sum() for name, g in found.items())

    return call


class Encoder(nn.Module):
    """The transformer of the models, layer by layer as there."""

    def __init__(self, params: Any) -> None:
        super().__init__()
        self.embed = nn.Parameter(torch.from_numpy(params["embed"].copy()))
        self.place = nn.Parameter(torch.from_numpy(params["place"].copy()))
        self.head = nn.ParameterList(torch.from_numpy(a.copy()) for a in params["head"])
        self.blocks = nn.ModuleList()
        for block in params["blocks"]:
            square = [block[name] for name in ("query", "key", "value", "out")]
            arrays = [*block["norm1"], *block["norm2"], *square, *block["up"], *block["down"]]
            self.blocks.append(nn.ParameterList(torch.from_numpy(a.copy()) for a in arrays))

    def forward(self, tokens: Any) -> Any:
        """Scores of the classes."""
        x = self.embed[tokens] + self.place
        norm = nn.functional.layer_norm
        for s1, b1, s2, b2, query, key, value, out, up, up_bias, down, down_bias in self.blocks:
            h = norm(x, x.shape[-1:], s1, b1, 1e-6)
            q, k, v = ((h @ w).unflatten(-1, (4, -1)).transpose(-3, -2) for w in (query, key, value))
            weights = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1)
            x = x + (weights @ v).transpose(-3, -2).flatten(-2) @ out
            h = nn.functional.gelu(norm(x, x.shape[-1:], s2, b2, 1e-6) @ up + up_bias, approximate="tanh")
            x = x + h @ down + down_bias
        return x.mean(-2) @ self.head[0] + self.head[1]


def transformer_rows(model: Model) -> tuple[Callable[[], Any], dict[str, Callable[[], Any]]]:
    """torch.func only: BackPACK and Opacus have no rule for such a module as it stands."""
    net, loss = Encoder(model.params), nn.CrossEntropyLoss()
    tokens, y = (torch.from_numpy(np.array(a)) for a in model.batch)

    def plain() -> None:
        net.zero_grad()
        loss(net(tokens), y).backward()

    return plain, {"torch.func vmap(grad)": func_row(net, loss, tokens, y)}

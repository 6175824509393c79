"""A loss as a function of one flat parameter vector: what every measure of flatness is computed from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import vmap

Loss = Callable[[Tensor], Tensor]
"""Parameters (n,) to a scalar."""


@dataclass(frozen=True)
class Objective:
    """This is L(w) = sum of weight * term(w), term by term so that no more than one batch is in memory.

    Attributes:
        point: w, shape (n,), float, no gradient.
        terms: (weight, loss) pairs.
        chunk: parameter vectors evaluated at once, at least 1; memory grows with it, results agree to rounding.
            1 is a plain loop, which also serves losses that `torch.func.vmap` cannot see through.
    """

    point: Tensor
    terms: tuple[tuple[float, Loss], ...]
    chunk: int = 1

    @torch.no_grad()
    def values(self, points: Tensor) -> Tensor:
        """Compute L at each of ``points`` (k, n): shape (k,), float64."""
        out = torch.zeros(len(points), dtype=torch.float64, device=points.device)
        for start in range(0, len(points), self.chunk):
            part = points[start : start + self.chunk]
            for weight, loss in self.terms:
                found = loss(part[0])[None] if self.chunk == 1 else vmap(loss)(part)
                out[start : start + self.chunk] += weight * found.double()
        return out

    def value(self) -> float:
        """Compute L(w)."""
        return float(self.values(self.point[None]))

    def gradient(self) -> Tensor:
        """Compute dL/dw at w, shape (n,)."""
        w = self.point.clone().requires_grad_()
        total = torch.zeros_like(self.point)
        for weight, loss in self.terms:
            total += weight * torch.autograd.grad(loss(w), w)[0]
        return total

    def hessian_times(self, vectors: Tensor) -> Tensor:
        """Compute H v for each of ``vectors`` (k, n), H the Hessian of L at w: the gradient differentiated again."""
        w = self.point.clone().requires_grad_()
        total = torch.zeros_like(vectors)
        for weight, loss in self.terms:
            (gradient,) = torch.autograd.grad(loss(w), w, create_graph=True)
            if gradient.requires_grad:  # else the term is linear in w
                total += weight * self._backward(gradient, w, vectors)
        return total

    def _backward(self, gradient: Tensor, w: Tensor, vectors: Tensor) -> Tensor:
        out: list[Tensor] = []
        single = self.chunk == 1
        for part in torch.split(vectors, self.chunk):
            given = part[0] if single else part
            (found,) = torch.autograd.grad(
                gradient, w, given, retain_graph=True, is_grads_batched=not single, materialize_grads=True
            )
            out.append(found[None] if single else found)
        return torch.cat(out)

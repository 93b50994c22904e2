"""An exponential moving average of a network's weights: it scores more steadily than the weights of any one step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn


def averaged(average: Mapping[str, Tensor], network: nn.Module, decay: float, steps: int) -> dict[str, Tensor]:
    """Return the average after one more step: decay · average + (1 − decay) · weights.

    Statistics of batch normalisation are averaged like weights; whole numbers are the network's own. In the first steps
    the decay is (1 + steps) / (10 + steps) if that is smaller, so that the first weights are soon forgotten
    (TensorFlow's ``ExponentialMovingAverage``; the method is Polyak and Juditsky, "Acceleration of Stochastic
    Approximation by Averaging", SIAM Journal on Control and Optimization, 1992).

    Parameters
    ----------
    average : mapping of str to Tensor
        The average so far, a state dict; empty before the first step.
    network : Module
    decay : float
        At least 0 and below 1; with 0 the average is the network's weights.
    steps : int
        Number of steps trained.
    """
    with torch.no_grad():
        share = 1 - min(decay, (1 + steps) / (10 + steps))
        return {
            name: torch.lerp(average[name].to(value.device), value, share)
            if average and value.is_floating_point()
            else value.clone()
            for name, value in network.state_dict().items()
        }


@contextlib.contextmanager
def holding(network: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Give a network other weights for a while."""
    own = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(weights)
    try:
        yield
    finally:
        network.load_state_dict(own)

"""Rival criteria, each as `Scores`, so that `prune` takes any of them (EC-6).

magnitude                   |w|
gradient_magnitude          |w ∂loss/∂w|
random                      chance
wanda                       |w| √E[a²]
obd                         nothing compensates: w² E[s a²], Optimal Brain Damage
elimination_compensation    the bias compensates: w² v
obc                         the neuron's other weights and its bias compensate
obs                         all other weights and biases compensate: Optimal Brain Surgeon
"""

from ..scores import elimination_compensation
from ..scores import uncompensated as obd
from .simple import gradient_magnitude, magnitude, random, wanda
from .surgeon import obc, obs

__all__ = ["elimination_compensation", "gradient_magnitude", "magnitude", "obc", "obd", "obs", "random", "wanda"]


def __dir__() -> list[str]:
    return sorted(__all__)

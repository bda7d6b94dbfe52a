"""The figures of the derivations, as SVG beside this script: python derivations/figures/draw.py [FOLDER] [--png]"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt

import ecprune_np as ec

HERE = Path(__file__).resolve().parent
BLUE, ORANGE, GREEN, GREY = "#1f5fa8", "#c8501e", "#2e8540", "#777777"


def parabola(axes):
    """Φ(δ) of the first weight of the 2-1 network of pages 1 and 3."""
    a, w = np.array([0, 2, 2, 4]), 2
    delta = np.linspace(-2, 10, 200)
    axes.plot(delta, np.mean((delta[:, np.newaxis] - w * a) ** 2, axis=1), color=BLUE)
    for x, y, text, offset in ((0, 24, "Φ(0) = R = 24", (8, 4)), (4, 8, "δ* = wμ = 4,  Φ(δ*) = I = 8", (-62, -20))):
        axes.plot(x, y, "o", color=ORANGE)
        axes.annotate(text, (x, y), offset, textcoords="offset points")
    axes.plot([0, 0], [8, 24], color=GREEN, lw=1.5)
    axes.plot([0, 4], [8, 8], ":", color=GREY)
    axes.annotate("R − I = Sδ*²\n= 16", (0, 14), (-6, 0), textcoords="offset points", color=GREEN, ha="right")
    axes.set(xlabel="shift δ of the bias", ylabel="mean squared change of the output Φ(δ)", ylim=(0, 46))


def variance(axes):
    """I and R of weights of the same size, fed by inputs of the same mean and growing variance."""
    rng = np.random.default_rng(0)
    spread = np.logspace(-2, 1, 25)
    noise = rng.standard_normal((400, spread.size))
    noise = (noise - noise.mean(axis=0)) / noise.std(axis=0)
    x = 1 + spread * noise
    mlp = ec.MLP([np.ones((1, spread.size))], [[0]])
    R, I = ec.criteria.obd(mlp, x).importance[0][0], ec.elimination_compensation(mlp, x).importance[0][0]
    axes.loglog(spread**2, R, "s", color=GREY, ms=4, label="R, not compensated: w²(v + Sμ²)")
    axes.loglog(spread**2, I, "o", color=BLUE, ms=4, label="I, compensated: w²v")
    axes.loglog(spread**2, np.ones_like(spread), "--", color=ORANGE, lw=1, label="w², magnitude squared")
    axes.set(xlabel="variance v of the activation (mean 1, w = 1)", ylabel="importance")
    axes.legend(frameon=False)


def remainder(axes):
    """‖Δf − εJΔz‖ of a scaled removal, for the activations of a small network, and with a wrong derivative."""
    rng = np.random.default_rng(0)
    W1, W2, x = rng.standard_normal((5, 3)), rng.standard_normal((2, 5)), rng.standard_normal((30, 3))
    W1[1, 2] = 2
    b1, b2 = 0.5 * rng.standard_normal(5), np.zeros(2)
    epsilon = np.logspace(-4, 0, 33)

    def curve(activation, factor=1.0):
        mlp = ec.MLP([W1, W2], [b1, b2], activation)
        shift = ec.elimination_compensation(mlp, x).bias_shift[0][1, 2]
        cotangents = np.broadcast_to(np.eye(2)[:, np.newaxis], (2, len(x), 2))
        J = ec.pullback(mlp, ec.forward(mlp, x), cotangents)[0][:, :, 1].T
        values = []
        for e in epsilon:
            W, b = W1.copy(), b1.copy()
            W[1, 2] *= 1 - e
            b[1] += e * shift
            change = mlp.replace([W, W2], [b, b2])(x) - mlp(x)
            values.append(np.linalg.norm(change - factor * e * J * (shift - W1[1, 2] * x[:, 2:])))
        return np.array(values)

    for activation, colour in (("tanh", BLUE), ("sin", GREEN), ("relu", ORANGE)):
        values = curve(activation)
        axes.loglog(epsilon, np.where(values > 1e-13, values, np.nan), "o-", ms=3, lw=1, color=colour, label=activation)
    axes.loglog(epsilon, curve("tanh", 1.1), "x-", ms=4, lw=1, color=GREY, label="tanh, derivative 10 % wrong")
    axes.loglog(epsilon, 0.2 * epsilon**2, ":", color="black", lw=1, label="slope 2")
    axes.set(xlabel="removed fraction ε of the weight", ylabel="remainder of the output change", ylim=(1e-11, 1e3))
    axes.legend(frameon=False, loc="upper left")


def textbook(axes):
    """Relative error of the variance of 1000 normal numbers against their offset: worst of 20 draws."""
    offsets = np.logspace(0, 10, 31)
    errors = {"textbook E[s a²] − E[s a]²/S": [], "this package": []}
    for offset in offsets:
        worst = np.zeros(2)
        for seed in range(20):
            a = np.random.default_rng(seed).standard_normal((1000, 1)) + offset
            s = np.full((1000, 1), 1 / 1000)
            exact = np.longdouble(a).var()
            plain = (s * a**2).sum() - (s * a).sum() ** 2 / s.sum()
            ours = ec.collect_moments(ec.MLP([[[1]]], [[0]]), a).variance[0][0, 0]
            worst = np.maximum(worst, np.array([abs(v - exact) / exact for v in (plain, ours)], float))
        for values, error in zip(errors.values(), worst):
            values.append(error)
    for (label, values), colour in zip(errors.items(), (ORANGE, BLUE)):
        axes.loglog(offsets, values, "o-", ms=3, lw=1, color=colour, label=label)
    axes.loglog(offsets, 2.0**-53 * offsets**2, ":", color="black", lw=1, label="u m²/d²")
    axes.axhline(1, color=GREY, lw=0.8)
    axes.set(xlabel="offset, in standard deviations", ylabel="relative error of the variance", ylim=(1e-17, 1e5))
    axes.legend(frameon=False, loc="upper left")


FIGURES = (parabola, variance, remainder, textbook)


def digest() -> str:
    """What each SVG carries, so that a test sees when it was drawn by another version of this script."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]


def main(folder: Path, suffix: str) -> None:
    matplotlib.use("Agg")
    plt.rcParams.update({"svg.hashsalt": "ecprune_np", "font.size": 9})
    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
    for draw in FIGURES:
        figure, axes = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
        draw(axes)
        metadata = {"Date": None, "Description": f"draw.py {digest()}"} if suffix == "svg" else None
        figure.savefig(folder / f"{draw.__name__}.{suffix}", metadata=metadata, facecolor="white", dpi=130)
        plt.close(figure)


if __name__ == "__main__":
    arguments = [a for a in sys.argv[1:] if a != "--png"]
    main(Path(arguments[0]) if arguments else HERE, "png" if "--png" in sys.argv else "svg")

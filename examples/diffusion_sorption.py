"""The paper's Figures 2 to 4: networks (x, t) → u trained on the diffusion-sorption equation, then pruned.

    python examples/diffusion_sorption.py --jobs 2     # all networks, noise levels and seeds; can be continued
    python examples/diffusion_sorption.py --quick      # under a minute
    python examples/diffusion_sorption.py --report     # figures and tables from the rows that are there

The equation is solved by finite volumes and a stiff integrator. Training data carry uniform noise; the test
loss is the mean squared distance to the solution itself, without noise.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import command
import experiment
import figures
import numpy as np
import tables
from rows import Case, Results, Row, Settings

from ecprune_np._files import save_text
from ecprune_np.data import Dataset

DIFFUSION, POROSITY, DENSITY, K_FREUNDLICH, N_FREUNDLICH = 5e-4, 0.29, 2880, 3.5e-4, 0.874
INITIAL = 0.12739233746429088  # a draw from U(0, 0.2), PDEBench's
END = 500.0
N_CELLS, N_TIMES = 1024, 200

ARCHITECTURES = {"2-20-20-1": "small", "2-20-20-20-20-1": "medium", "2-50-50-50-1": "wide"}
NOISES = {0.005: "the paper's", 0.05: "medium", 0.1: "high"}
SEEDS = (0, 1, 2)
SENTENCES = {  # what to see
    "architectures": "Of what is pruned EC with rows loses least, in every network, but from 0.9 on "
    "a dense one of as few parameters is far better",
    "noise": "The noisier the data, the more weights can go before the test loss rises",
}
SNAPSHOT_TIMES = (5.0, 100.0, 250.0, 500.0)
SNAPSHOT_RATIO = 0.7
SNAPSHOT_METHODS = ("magnitude", "ec", "ec-iterative")

FULL = Settings(
    loss="mse",
    dtype="float64",
    n_train=4000,
    n_test=10000,
    batch_size=64,
    epochs=300,
    learning_rate=2e-2,
    fine_tune_optimizer="lbfgs",
    fine_tune_epochs=50,
    fine_tune_learning_rate=0.0,
    n_scored=4000,
    steps=20,
    methods=(
        "random",
        "magnitude",
        "magnitude+shift",
        "gradient-magnitude",
        "obd",
        "wanda",
        "nonlinear",
        "ec-unshifted",
        "ec",
        "ec-iterative",
        "ec-iterative+row",
        "small-dense",
    ),
    sparsities=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99),
)
QUICK = replace(
    FULL,
    n_train=1000,
    n_test=2000,
    epochs=60,
    fine_tune_epochs=10,
    n_scored=300,
    steps=5,
    sparsities=(0.3, 0.5, 0.7, 0.9),
)


def retardation(u: np.ndarray) -> np.ndarray:
    """R(u) = 1 + (1−φ)/φ · ρ_s k n_f u^(n_f−1), with 1e-6 added to u."""
    factor = (1 - POROSITY) / POROSITY * DENSITY * K_FREUNDLICH * N_FREUNDLICH
    return 1 + factor * (np.maximum(u, 0) + 1e-6) ** (N_FREUNDLICH - 1)


def centres(n_cells: int) -> np.ndarray:
    """The cells' centres x, shape (n_cells,)."""
    return (np.arange(n_cells) + 0.5) / n_cells


def solve(n_cells: int, times: np.ndarray, initial: float = INITIAL) -> np.ndarray:
    """u at the cells' centres, shape (n_cells, len(times)), for increasing times in (0, 500].

    R(u_i) du_i/dt = D (q_{i+1/2} − q_{i−1/2}) / h with the slopes q between centres; at the left end u = 1 at
    half a cell's distance, at the right end u_b = −D q with q = (u_b − u_n) / (h/2).
    Raises ValueError where the integrator gives up.
    """
    from scipy.integrate import solve_ivp

    h = 1 / n_cells

    def rate(_: float, u: np.ndarray) -> np.ndarray:
        slope = np.empty(n_cells + 1)
        slope[0] = (u[0] - 1) / (h / 2)
        slope[1:-1] = np.diff(u) / h
        slope[-1] = -u[-1] / (h / 2 + DIFFUSION)
        return DIFFUSION * np.diff(slope) / h / retardation(u)

    start = np.full(n_cells, initial)
    solution = solve_ivp(
        rate, (0, times[-1]), start, method="LSODA", t_eval=times, rtol=1e-7, atol=1e-9, lband=1, uband=1
    )
    if not solution.success:
        raise ValueError(f"the integrator stopped: {solution.message}")
    return solution.y


def scaled(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The network's inputs: x and t, each from −1 to 1, in columns."""
    return np.stack([2 * x - 1, 2 * t / END - 1], axis=-1)


def load(case: Case, settings: Settings, n_cells: int = N_CELLS) -> Dataset:
    """Random points of the solution; the training values carry noise U(−d, d), the test values none."""
    times = END * np.arange(1, N_TIMES + 1) / N_TIMES
    u = solve(n_cells, times)
    inputs = scaled(*np.meshgrid(centres(n_cells), times, indexing="ij")).reshape(-1, 2)
    values = u.reshape(-1, 1)
    rng = np.random.default_rng(case.seed)
    chosen = rng.choice(len(inputs), settings.n_train + settings.n_test, replace=False)
    train, test = chosen[: settings.n_train], chosen[settings.n_train :]
    noise = case.noise * rng.uniform(-1, 1, (len(train), 1))
    return Dataset(inputs[train], values[train] + noise, inputs[test], values[test])


def work(case: Case, settings: Settings, file: Path, _: Any) -> None:
    """One network, in a process of its own."""
    experiment.run_case(case, load(case, settings), settings, Results(file))


def cases(quick: bool, seeds: list[int] | None) -> list[Case]:
    """Every architecture at the paper's noise, and the medium one at the others; seed by seed."""
    low, *higher = NOISES
    if quick:
        return [Case("2-12-12-1", "tanh", s, d) for s in seeds or SEEDS[:1] for d in (low, higher[-1])]
    pairs = [(net, low) for net in ARCHITECTURES] + [("2-20-20-20-20-1", d) for d in higher]
    return [Case(net, "tanh", s, d) for s in seeds or SEEDS for net, d in pairs]


def snapshots(case: Case, settings: Settings) -> str:
    """Figure 2's curves as CSV: at four times the solution, noisy data, and the networks pruned at 0.7."""
    data = load(case, settings)
    mlp = experiment.train(case, data, settings)
    pruned = {m: experiment.pruner(m, mlp, case, data, settings)(SNAPSHOT_RATIO).mlp for m in SNAPSHOT_METHODS}
    tuned = experiment.fine_tune(
        experiment.pruner("ec-iterative", mlp, case, data, settings)(SNAPSHOT_RATIO), case, data, settings
    )
    networks = {"dense": mlp, **pruned, "ec-iterative, fine-tuned": tuned.mlp}
    n_cells = 128
    x, u = centres(n_cells), solve(n_cells, np.array(SNAPSHOT_TIMES))
    noise = case.noise * np.random.default_rng(case.seed).uniform(-1, 1, u.shape)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["t", "x", "solution", "noisy data", *networks])
    for k, t in enumerate(SNAPSHOT_TIMES):
        inputs = scaled(x, np.full(n_cells, t))
        columns = [x, u[:, k], u[:, k] + noise[:, k], *(network(inputs)[:, 0] for network in networks.values())]
        writer.writerows([f"{t:g}", *(f"{value:.6g}" for value in line)] for line in np.column_stack(columns))
    return stream.getvalue()


def snapshot_figure(text: str, case: Case) -> Any:
    """Figure 2 from the CSV of `snapshots`: a panel a time."""
    from matplotlib.figure import Figure

    header, *lines = csv.reader(io.StringIO(text))
    table = np.array(lines, float)
    styles = {
        "solution": {"color": "black", "linewidth": 1.2},
        "dense": {"color": "#1b9e77", "linestyle": ":", "linewidth": 2},
        "magnitude": {"color": "#7f7f7f", "linestyle": "--"},
        "ec": {"color": "#ff7f0e"},
        "ec-iterative": {"color": "#d62728", "linestyle": "-."},
        "ec-iterative, fine-tuned": {"color": "#1f4ed8", "linestyle": (0, (1, 1))},
    }
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    for ax, t in zip(axes.flat, SNAPSHOT_TIMES):
        here = table[table[:, 0] == t]
        noisy = here[::4, header.index("noisy data")]
        ax.plot(here[::4, 1], noisy, "o", color="#6baed6", markersize=4, fillstyle="none", zorder=3, label="noisy data")
        for name, style in styles.items():
            label = name if name in ("solution", "dense") else f"{name}, pruned at {SNAPSHOT_RATIO:g}"
            ax.plot(here[:, 1], here[:, header.index(name)], label=label, **style)
        ax.set_title(f"t = {t:g}", fontsize=10)
        ax.set_ylim(-0.15, 1.25)
        ax.grid(True, alpha=0.3)
    for ax in axes[-1]:
        ax.set_xlabel("x")
    for ax in axes[:, 0]:
        ax.set_ylabel("u(x, t)")
    figure.suptitle(f"{case.architecture}, {case.activation}, noise U(−{case.noise:g}, {case.noise:g})", fontsize=11)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def run(options: argparse.Namespace, file: Path) -> None:
    """Compute what is missing, then draw and print."""
    settings = QUICK if options.quick else FULL
    case = cases(options.quick, SEEDS[:1])[0 if options.quick else 1]  # the medium network at the paper's noise
    curves = file.with_name(f"{file.stem}_snapshots.csv")
    wanted = cases(options.quick, options.seed)
    rows = command.completed_rows(options, file, work, wanted, settings)
    if not options.report and not curves.exists():
        save_text(curves, snapshots(case, settings))
    if not options.no_figures:
        if curves.exists():
            figures.save_figure(snapshot_figure(curves.read_text(encoding="utf-8"), case), curves)
        for name, columns in (("architectures", by_architecture(rows)), ("noise", by_noise(rows))):
            networks = [(f"{net}, noise {d:g}", {"architecture": net, "noise": d}) for net, d in columns]
            figure = figures.ratio_figure(
                rows, figures.by_stage(networks), settings.methods, "test loss (mean squared error)", SENTENCES[name]
            )
            figures.save_figure(figure, file.with_name(f"{file.stem}_{name}"))
    title = "Diffusion-sorption: pruning without and with fine-tuning"
    print(tables.write_report(file, rows, settings, settings.sparsities, title))


def by_architecture(rows: list[Row]) -> list[tuple[str, float]]:
    """Figure 3: each architecture, at the lowest noise."""
    low = min(row.noise for row in rows)
    return [(net, low) for net in dict.fromkeys(row.architecture for row in rows if row.noise == low)]


def by_noise(rows: list[Row]) -> list[tuple[str, float]]:
    """Figure 4: the architecture that has most noises, at each."""
    noises = {net: sorted({r.noise for r in rows if r.architecture == net}) for net in {r.architecture for r in rows}}
    net = max(sorted(noises), key=lambda name: len(noises[name]))
    return [(net, d) for d in noises[net]]


def main(arguments: list[str] | None = None) -> int:
    return command.main("diffusion_sorption", command.parser(__doc__).parse_args(arguments), run)


if __name__ == "__main__":
    sys.exit(main())

"""What to use when: which_method.md, from all committed rows.

python examples/which_method.py          # writes the page
python examples/which_method.py --check  # says whether it is in step with the rows
"""

from __future__ import annotations

import argparse
import statistics
import sys
import textwrap
from collections import Counter
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlpnet
from experiment import GRADUAL
from rows import RESULTS, STAGES, Row, existing_rows
from tables import markdown

from ecprune_np._files import save_text
from ecprune_np.commands._prune import TRAINED, USUAL

PAGE = Path(__file__).with_name("which_method.md")
FILES = {"mnist": "MNIST", "compensations_mnist": "MNIST", "diffusion_sorption": "equation",
         "compensations_equation": "equation"}  # fmt: skip
AGAIN = {"compensations_mnist": ", in 10 bites", "compensations_equation": ", compensations"}
SPARSITIES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
HIGH = (0.8, 0.9, 0.95, 0.98, 0.99)
SMALL = "small-dense"  # no method of pruning: as few parameters from the start
ANOTHER_MATTER = (SMALL, GRADUAL)
NEXT = "ec-fisher-iterative"  # the best without rows of weights
NEAR = 1.05  # as good as the best, in units of its loss
ONE_PASS = ("magnitude", "gradient-magnitude", "obd", "wanda", "ec-unshifted", "ec", "ec-fisher")
STEPS = {  # what a step is worth: with it, without it
    "shifts, magnitude's ranking": ("magnitude+shift", "magnitude"),
    "shifts, EC's ranking": ("ec", "ec-unshifted"),
    "the Fisher metric, one-shot": ("ec-fisher", "ec"),
    "iterating, with shifts": ("ec-iterative", "ec"),
    "the Fisher metric, iterating": ("ec-fisher-iterative", "ec-iterative"),
    "rows in place of shifts": ("ec-iterative+row", "ec-iterative"),
    "the Fisher metric, with rows": ("ec-fisher-iterative+row", "ec-iterative+row"),
}


@dataclass(frozen=True)
class Setting:
    """One network at one sparsity and stage, in one experiment: what methods can be compared at."""

    file: str
    architecture: str
    activation: str
    noise: float
    sparsity: float
    stage: str

    @property
    def network(self) -> str:
        """Its name, without the noise that is usual."""
        noise = f", noise {self.noise:g}" if self.noise > 0.005 else ""
        return f"{FILES[self.file]}, {self.architecture}, {self.activation}{noise}"


Losses = dict[Setting, dict[str, dict[int, float]]]  # method to seed to test loss


def losses(folder: Path = RESULTS) -> Losses:
    """All losses of the experiments' files."""
    found: Losses = {}
    for name in FILES:
        for row in existing_rows(folder / f"{name}.csv"):
            if row.method != "dense":
                found.setdefault(setting(name, row), {}).setdefault(row.method, {})[row.seed] = row.test_loss
    return found


def setting(file: str, row: Row) -> Setting:
    """Where a row stands."""
    return Setting(file, row.architecture, row.activation, row.noise, row.sparsity, row.stage)


def of_pruning_alone(found: Losses) -> Losses:
    """Of the methods that prune a network and do not train it."""
    return {s: {m: of for m, of in by_method.items() if m not in ANOTHER_MATTER} for s, by_method in found.items()}


def medians(by_method: dict[str, dict[int, float]]) -> dict[str, float]:
    """Method to the median over the seeds, the lowest first."""
    found = {method: statistics.median(of_seeds.values()) for method, of_seeds in by_method.items()}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def best(by_method: dict[str, float]) -> list[str]:
    """The method with the lowest loss, and those that are as good."""
    lowest = min(by_method.values())
    return [method for method, loss in by_method.items() if loss <= NEAR * lowest]


def ratios(found: Losses, with_it: str, without: str, stage: str, sparsities: Container[float]) -> list[float]:
    """Loss with a step over loss without it, of every network and seed that has both."""
    here = [of for s, of in found.items() if s.stage == stage and s.sparsity in sparsities]
    pairs = [(of.get(with_it, {}), of.get(without, {})) for of in here]
    return [a[seed] / b[seed] for a, b in pairs for seed in a if seed in b]


def median_and_range(values: Sequence[float]) -> str:
    """As a table's cell."""
    if not values:
        return ""
    return f"{_number(statistics.median(values))} ({_number(min(values))} to {_number(max(values))})"


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def best_table(found: Losses, stage: str) -> str:
    """Network by sparsity: the best methods of each."""
    lines = [["network", *(f"{s:g}" for s in SPARSITIES)]]
    for file, network in dict.fromkeys((s.file, s.network) for s in found):
        here = {s.sparsity: best(medians(of)) for s, of in found.items()
                if (s.file, s.network, s.stage) == (file, network, stage)}  # fmt: skip
        lines.append([network + AGAIN.get(file, ""), *(some(here.get(s, [])) for s in SPARSITIES)])
    return markdown(lines)


def some(names: Sequence[str]) -> str:
    """The first two, and how many there are besides."""
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(f"`{name}`" for name in names[:2]) + more


def steps_table(found: Losses, stage: str) -> str:
    """Step and activation by sparsity: median ratio and range."""
    lines = [["step", "activation", *(f"{s:g}" for s in SPARSITIES)]]
    for step, (with_it, without) in STEPS.items():
        for activation in dict.fromkeys(s.activation for s in found):
            here = {s: of for s, of in found.items() if s.activation == activation}
            of_each = [ratios(here, with_it, without, stage, [s]) for s in SPARSITIES]
            if any(of_each):
                lines.append([f"{step}: `{with_it}` / `{without}`", activation, *map(median_and_range, of_each)])
    return markdown(lines)


def depth_table(found: Losses) -> str:
    """Step by number of layers, right after pruning, from 0.8 on."""
    depths = sorted({s.architecture.count("-") for s in found})
    lines = [["step", *(f"{n} layers" for n in depths)]]
    for step, (with_it, without) in STEPS.items():
        of_each = [
            ratios(
                {s: of for s, of in found.items() if s.architecture.count("-") == n}, with_it, without, "pruned", HIGH
            )
            for n in depths
        ]
        lines.append([step, *map(median_and_range, of_each)])
    return markdown(lines)


def small_table(found: Losses) -> str:
    """Network by sparsity: the loss of a method over that of a small dense network, pruned → trained once more."""
    lines = [["network", "pruned by", *(f"{s:g}" for s in SPARSITIES)]]
    small = {
        s: found.get(replace(s, file=f"compensations_{s.file}"), {}) | of for s, of in found.items() if SMALL in of
    }
    for network in dict.fromkeys(s.network for s in small):
        here = {s: of for s, of in small.items() if s.network == network}
        for method in (USUAL, NEXT):
            of_each = [[ratios(here, method, SMALL, stage, [s]) for stage in STAGES] for s in SPARSITIES]
            cells = [" → ".join(_number(statistics.median(values)) for values in cell if values) for cell in of_each]
            if any(cells):
                lines.append([network, f"`{method}`", *cells])
    return markdown(lines)


def share(found: Losses, method: str, stage: str) -> tuple[int, int, int]:
    """In how many settings from 0.8 on a method is the lowest, as good as it, and of how many that have it."""
    orders = [medians(of) for s, of in found.items() if s.stage == stage and s.sparsity in HIGH and method in of]
    lowest = sum(next(iter(order)) == method for order in orders)
    return lowest, sum(method in best(order) for order in orders), len(orders)


def winners(found: Losses, stage: str, among: Collection[str]) -> str:
    """How often each of some methods is the lowest, from 0.8 on."""
    counts: Counter[str] = Counter()
    for s, by_method in found.items():
        these = {name: values for name, values in by_method.items() if name in among}
        if s.stage == stage and s.sparsity in HIGH and len(these) > 2:
            counts[next(iter(medians(these)))] += 1
    total = sum(counts.values())
    return ", ".join(f"`{name}` in {n}" for name, n in counts.most_common(3)) + f" of {total}"


def answers(found: Losses, published: list[Any]) -> str:
    """The short answers, each with its number."""
    clean, noisy = ({s: of for s, of in found.items() if (s.noise > 0.005) is wanted} for wanted in (False, True))
    lines = [
        f"- **No training afterwards: `{USUAL}`**, the default of `prune`. It needs samples, and no labels. "
        f"{_told_of_usual(found, 'pruned')}",
        f"- **Training once afterwards: the same where the data are clean**. {_told_of_usual(clean, 'fine-tuned')} "
        f"**Where they are noisy, shifts**: {_told_of_usual(noisy, 'fine-tuned')}",
    ]
    tasks = dict.fromkeys((FILES[s.file], s.activation) for s in found)
    for task in tasks:
        here = {s: of for s, of in found.items() if (FILES[s.file], s.activation) == task}
        gain = ratios(here, "ec-iterative", "magnitude", "pruned", HIGH)
        lines.append(
            f"- **One pass only, {' with '.join(task)}**: from 0.8 on the lowest of the one-shot methods is "
            f"{winners(here, 'pruned', ONE_PASS)}. **No samples at all**: `magnitude`; with samples `ec-iterative` "
            f"would have {median_and_range(gain)} times its loss."
        )
    lines += published_answers(mlpnet.medians(published))
    return "\n".join(textwrap.fill(line, 120, subsequent_indent="  ", break_on_hyphens=False) for line in lines)


def _told_of_usual(found: Losses, stage: str) -> str:
    lowest, as_good, of = share(found, USUAL, stage)
    gain = ratios(found, USUAL, USUAL.partition("+")[0], stage, HIGH)
    return (
        f"From 0.8 on it has the lowest loss in {lowest} of the {of} settings in which it was tried, and is within "
        f"{100 * (NEAR - 1):.0f} % of the lowest in {as_good}. "
        f"Its loss is {median_and_range(gain)} times that of shifts."
    )


def published_answers(accuracy: dict[tuple[mlpnet.Way, float], float]) -> list[str]:
    """What the published network says: of the metric, and of training between the bites."""
    trained, fisher, at = TRAINED[True], "ec-fisher-iterative+row", mlpnet.FULL.crossed_at

    def of(*way: Any) -> str:
        values = [accuracy.get((mlpnet.Way(*way), s)) for s in at]
        return " / ".join("-" if v is None else f"{v:.1f}" for v in values) + " %"

    where = f"784-40-20-10, test accuracy at {' / '.join(f'{s:g}' for s in at)}"
    return [
        f"- **Which metric, with rows**: on the published network Fisher's ({where}: `{fisher}` {of(fisher)}, "
        f"`{USUAL}` {of(USUAL)}), on 784-300-100-10 the outputs' own (below). Try both.",
        f"- **Labels of as many samples as weights: train after every bite, `{trained}`** (`prune --fine-tune 20`): "
        f"{of(trained, True, True)}. No other method was tried with that; for targets that are no classes "
        f"`{TRAINED[False]}` is taken by analogy, and not measured here.",
        f"- **No labels, but time: train towards the dense network's outputs after every bite, with rows**: `{fisher}` "
        f"{of(fisher, False, True)}; without rows {of('ec-fisher-iterative+none', False, True)}.",
    ]


def defaults(found: Losses) -> str:
    """Where the rows do not support what `prune` does without being asked."""
    lines = []
    for s, by_method in found.items():
        order = medians(by_method)
        if s.sparsity in HIGH and USUAL in order and USUAL not in best(order):
            first, loss = next(iter(order.items()))
            lines.append(
                f"- {s.network}, {s.sparsity:g}, {s.stage}: `{first}` is lower, "
                f"{loss:.3g} where it has {order[USUAL]:.3g}"
            )
    said = f"Where `{USUAL}` is not within {100 * (NEAR - 1):.0f} % of the lowest, from 0.8 on:"
    return f"{said}\n\n" + "\n".join(lines or ["- nowhere"])


def costs(published: list[Any]) -> str:
    """Seconds on one thread, of the published network."""
    lines = [["method", "passes over the samples", "seconds"]]
    passes = {"magnitude": "none", "wanda": "one", "ec": "one", "ec-fisher-iterative": "one a bite",
              USUAL: "one a layer and bite, and a least-squares problem a neuron"}  # fmt: skip
    for name, what in passes.items():
        seconds = [row.seconds for row in published if row.way == mlpnet.Way(name) and row.sparsity == 0.95]
        lines.append([f"`{name}`", what, f"{statistics.median(seconds):.1f}" if seconds else ""])
    return markdown(lines)


def page(all_found: Losses, published: list[Any]) -> str:
    """The whole page."""
    found = of_pruning_alone(all_found)
    return f"""# What to use when

Written by `which_method.py` from the rows in `results/`: test loss, lower is better; ratios are of one network and
seed, as median (lowest to highest). What the names mean: [README](README.md).

{answers(found, published)}

## The best, right after pruning

With those within {100 * (NEAR - 1):.0f} % of its median loss, the lowest first. The first six lines are of methods
without rows; rows were tried on MNIST in 10 bites, of which the next six are, and on the equation.

{best_table(found, "pruned")}

## The best after training once more

{best_table(found, "fine-tuned")}

## What each step is worth, right after pruning

Loss with the step over loss without it: below 1 it helps.

{steps_table(found, "pruned")}

## The same after training once more

{steps_table(found, "fine-tuned")}

## The same by depth, right after pruning, from 0.8 on

{depth_table(found)}

## Pruned, or small from the start

The loss of a pruned network over that of a dense one with as many parameters, which is trained for as many epochs;
right away → after training both once more. Median over the seeds; below 1 pruning is better. Rows on MNIST in 10 bites.

{small_table(all_found)}

## What it costs

784-40-20-10 to 0.95, 10,000 samples, 20 bites, one thread.

{costs(published)}

## Where the default of `prune` is not the best

{defaults(found)}
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where the page is another")
    options = parser.parse_args(arguments)
    text = page(losses(), existing_rows(RESULTS / "mlpnet.csv", mlpnet.Row))
    if options.check:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        print(f"{PAGE.name}: {'in step' if same else 'not what the rows say; run this without --check'}")
        return int(not same)
    save_text(PAGE, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

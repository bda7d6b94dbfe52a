"""The order in which the package is read, as its imports state it, and what is said in one place only."""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ecprune_np as ec

PACKAGE = Path(ec.__file__).parent
ROOT = PACKAGE.name

HELPERS = ["_types", "_frozen", "_checks", "_files", "_text", "batch"]
STREET = ["activations", "mlp", "losses", "metrics", "moments", "scores"]
STREAMING = [
    "streaming",
    "streaming.scratch",
    "streaming.threads",
    "streaming.sensitivities",
    "streaming.structured",
    "streaming.reduction",
    "streaming.batches",
    "streaming.blocks",
    "streaming.collect",
    "streaming.rows",
]
# every module, a folder's __init__ by the name of the folder: each imports only from those before it
ORDER = [
    *HELPERS,
    *STREET[:-1],
    *STREAMING,
    STREET[-1],
    "sparse",
    "evaluation",
    "pruning.summary",
    "pruning.pruned",
    "pruning.joint",
    "pruning.refit",
    "pruning.guarded",
    "pruning.row_sums",
    "pruning.row",
    "pruning.one_shot",
    "pruning.iterative",
    "pruning",
    "training",
    "fine_tuning",
    "loading",
    "criteria.simple",
    "criteria._distances",
    "criteria.surgeon",
    "criteria",
    "error_analysis.comparison",
    "error_analysis.linearization",
    "error_analysis.jackknife",
    "error_analysis._balls",
    "error_analysis._bounded",
    "error_analysis._certify",
    "error_analysis._least_squares",
    "error_analysis._certify_pruned",
    "error_analysis._certify_refit",
    "error_analysis._removals",
    "error_analysis._floor",
    "error_analysis._certify_nonlinear",
    "error_analysis",
    "oracle._common",
    "oracle._exact_arithmetic",
    "oracle._exact_activations",
    "oracle._exact_network",
    "oracle._exact",
    "oracle._exact_distances",
    "oracle._exact_criteria",
    "oracle._slopes",
    "oracle._loops",
    "oracle._complex_step",
    "oracle._finite_differences",
    "oracle._bends",
    "oracle._removal",
    "oracle._expansion",
    "oracle._bracket",
    "oracle._descent",
    "oracle._guess",
    "oracle._parabolas",
    "oracle._intervals",
    "oracle._exclusion",
    "oracle._search",
    "oracle._pieces",
    "oracle._straight",
    "oracle._minimum",
    "oracle._nonlinear",
    "oracle",
    "data",
    "interop._order",
    "interop._common",
    "interop._layers",
    "interop._flax",
    "interop._state",
    "interop._safetensors",
    "interop._chain",
    "interop._sklearn",
    "interop._keras",
    "interop._keras_out",
    "interop._onnx",
    "interop._equinox",
    "interop._torch_graph",
    "interop._torch",
    "interop._torch_out",
    "interop",
    "_outputs",
    "_html",
    "_svg",
    "conformance._kinds",
    "conformance._case",
    "conformance._pruned_cases",
    "conformance._cases",
    "conformance._around",
    "conformance._outcome",
    "conformance._run",
    "conformance._verdict",
    "conformance.catalogue._parts",
    "conformance.catalogue._mistake",
    "conformance.catalogue.outputs",
    "conformance.catalogue.formula",
    "conformance.catalogue.shift",
    "conformance.catalogue.importance",
    "conformance.catalogue.forward",
    "conformance.catalogue.derivative",
    "conformance.catalogue.samples",
    "conformance.catalogue.arithmetic",
    "conformance.catalogue.shape",
    "conformance.catalogue.options",
    "conformance.catalogue.surgeons",
    "conformance.catalogue.criteria",
    "conformance.catalogue.pruning",
    "conformance.catalogue",
    "conformance.diagnosis._finding",
    "conformance.diagnosis._answers",
    "conformance.diagnosis._explanations",
    "conformance.diagnosis._relations",
    "conformance.diagnosis._estimates",
    "conformance.diagnosis._pairs",
    "conformance.diagnosis._kinds",
    "conformance.diagnosis._where",
    "conformance.diagnosis._state",
    "conformance.diagnosis._unknown",
    "conformance.diagnosis._own_parts",
    "conformance.diagnosis._own_network",
    "conformance.diagnosis._diagnose",
    "conformance.diagnosis",
    "conformance._suite",
    "conformance._text",
    "conformance._plain",
    "conformance._report",
    "conformance._check",
    "conformance._compare",
    "conformance._html",
    "conformance._vectors",
    "conformance._worker",
    "conformance._cli",
    "conformance",
    "equations",
    "methods",
    "commands._inputs",
    "commands._curves",
    "commands._pixels",
    "commands._masks",
    "commands._distributions",
    "commands._page",
    "commands._score",
    "commands._prune",
    "commands._compare",
    "commands._compare_scores",
    "commands._demo",
    "commands",
    "book._mathml",
    "book._sources",
    "book._chapters",
    "book._site",
    "book",
    ROOT,
    "__main__",
]
RE_EXPORTS = {ROOT, "criteria", "oracle"}  # whose __init__ alone may import from any folder
STREET_LINES = 150  # three screens

# what an oracle may know of the package: the types that it takes and returns, and what checks its arguments
KNOWN_TO_ORACLES = {
    ("mlp", "MLP"),
    ("scores", "Scores"),
    ("batch", "Batch"),
    ("batch", "Samples"),
    ("batch", "gathered"),
    ("_frozen", "Frozen"),
    ("_checks", None),
}


def files() -> dict[str, Path]:
    """Every module by its name within the package."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(p for p in parts if p != "__init__") or ROOT] = file
    return found


FILES = files()
SOURCES = {module: file.read_text(encoding="utf-8") for module, file in FILES.items()}
TREES = {module: ast.parse(source) for module, source in SOURCES.items()}


def folder(module: str) -> str:
    """Where a module lies: "" for the package itself."""
    return ".".join(FILES[module].relative_to(PACKAGE).parts[:-1])


def imports(module: str) -> Iterator[tuple[str, str | None]]:
    """(module of the package, name), or (module, None) for all of it: also in functions, also for annotations only."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            inside = [alias.name.split(".")[1:] for alias in node.names if alias.name.split(".")[0] == ROOT]
            yield from ((".".join(parts) or ROOT, None) for parts in inside)
        elif isinstance(node, ast.ImportFrom):
            parts = (node.module or "").split(".") if node.module else []
            if node.level:
                here = [part for part in folder(module).split(".") if part]
                parts = [*here[: len(here) + 1 - node.level], *parts]
            elif parts[0] == ROOT:
                parts = parts[1:]
            else:
                continue
            for alias in node.names:
                submodule = ".".join([*parts, alias.name])
                yield (submodule, None) if submodule in FILES else (".".join(parts) or ROOT, alias.name)


def imported_modules(module: str) -> set[str]:
    """What has to be there before the module: also the __init__ of other folders, which Python runs first."""
    found = {name for name, _ in imports(module)}
    above = f"{folder(module)}."  # the __init__ of a folder within which the module lies has begun before it
    folders = {folder(name) for name in found} - {"", folder(module)}
    return found | {name for name in folders if not above.startswith(f"{name}.")}


def public_functions() -> Iterator[tuple[str, str, Callable[..., Any]]]:
    """(folder, name, function) of all that an `__all__` names."""
    for module, file in FILES.items():
        if file.name == "__init__.py":
            loaded = importlib.import_module(ROOT if module == ROOT else f"{ROOT}.{module}")
            for name in getattr(loaded, "__all__", []):
                if inspect.isfunction(getattr(loaded, name)):
                    yield folder(module), name, getattr(loaded, name)


def attributes(module: str) -> set[str]:
    return {node.attr for node in ast.walk(TREES[module]) if isinstance(node, ast.Attribute)}


def lines_of_code(source: str) -> int:
    """How many lines are left without the blank ones, comments and docstrings."""
    silent = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in silent:
            code |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            code -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(code)


def test_the_order_names_every_module_once():
    assert sorted(ORDER) == sorted(FILES)


@pytest.mark.parametrize("module", [m for m in FILES if m in ORDER])
def test_every_import_goes_backwards(module):
    """Also those inside functions and under TYPE_CHECKING: so there is no circle, not even a hidden one."""
    before = set(ORDER[: ORDER.index(module)])
    assert sorted(imported_modules(module) - before) == []


@pytest.mark.parametrize("module", STREET)
def test_the_street_knows_only_itself(module):
    allowed = {*HELPERS, *STREET[: STREET.index(module)], *(STREAMING if module == "scores" else [])}
    assert sorted(imported_modules(module) - allowed) == []


@pytest.mark.parametrize("module", STREET)
def test_a_file_on_the_street_fits_three_screens(module):
    assert lines_of_code(SOURCES[module]) <= STREET_LINES


@pytest.mark.parametrize("module", STREET)
def test_the_street_is_quiet_about_the_machine(module):
    text = SOURCES[module].lower()
    assert [word for word in ("scratch", "slab", "thread") if word in text] == []


@pytest.mark.parametrize("module", [m for m, file in FILES.items() if file.name == "__init__.py"])
def test_only_named_folders_export_what_lies_elsewhere(module):
    own = {m for m in FILES if f"{folder(m)}.".startswith(f"{folder(module)}.") and m != module}
    assert module in RE_EXPORTS or sorted(imported_modules(module) - {*own, *HELPERS}) == []


@pytest.mark.parametrize("module", [m for m in FILES if m.startswith("oracle.")])
def test_an_oracle_shares_types_and_checks_with_the_package_and_nothing_else(module):
    shared = {(m, name) for m, name in imports(module) if m != "_types" and not m.startswith("oracle.")}
    assert sorted(shared - KNOWN_TO_ORACLES, key=str) == []


@pytest.mark.parametrize("module", [m for m in FILES if m.startswith("oracle.")])
def test_an_oracle_takes_only_values_from_an_activation(module):
    """No hand-written derivative, and no forward pass but its own: it never calls a network."""
    assert "derivative" not in attributes(module)
    called = [node.func for node in ast.walk(TREES[module]) if isinstance(node, ast.Call)]
    names = [func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in called]
    assert "mlp" not in names and "getattr" not in names


MAY_REST_ON_ORACLES = ("oracle", ROOT, "methods", "commands", "__main__")


@pytest.mark.parametrize("module", [m for m in FILES if m.split(".")[0] not in MAY_REST_ON_ORACLES])
def test_nothing_rests_on_an_oracle(module):
    """The error analysis least of all."""
    assert [m for m in imported_modules(module) if m.split(".")[0] == "oracle"] == []


def test_no_file_or_folder_bears_the_name_of_a_public_function_beside_it():
    """Neither where it is exported nor where it is defined."""
    beside = {(file.parent.relative_to(PACKAGE).as_posix(), file.stem) for file in PACKAGE.rglob("*.py")}
    beside |= {(d.parent.relative_to(PACKAGE).as_posix(), d.name) for d in PACKAGE.rglob("*") if d.is_dir()}
    taken = {
        (where.replace(".", "/") or ".", name)
        for exported, name, function in public_functions()
        for where in (exported, folder(function.__module__.removeprefix(f"{ROOT}.")))
    }
    assert sorted(taken & beside) == []


def test_samples_are_one_argument():
    """Weights and targets travel with the samples; y and a loss stand where targets are the point."""
    with_targets = {"loss_gradient", "mean_loss", "train", "prune_and_train", "gradient_magnitude"}
    for _, name, function in public_functions():
        parameters = set(inspect.signature(function).parameters)
        assert "sample_weight" not in parameters, name
        assert name in with_targets or not parameters & {"y", "loss"}, name


def places(wanted: Callable[[ast.AST], bool]) -> list[str]:
    """The modules with such a syntax node, each as often as it has one."""
    return [module for module, tree in TREES.items() for node in ast.walk(tree) if wanted(node)]


def test_the_alias_of_arrays_is_defined_once():
    aliases = places(lambda n: isinstance(n, ast.Assign | ast.AnnAssign) and ast.unparse(n).endswith("NDArray[Any]"))
    assert aliases == ["_types"]


def test_the_complex_step_is_defined_once():
    assert places(lambda n: isinstance(n, ast.Constant) and n.value == 1e-200) == ["oracle._common"]


def test_why_an_overflow_may_be_silent_is_said_once():
    contexts = places(lambda n: isinstance(n, ast.Call) and ast.unparse(n).startswith("np.errstate(over="))
    assert contexts == ["_checks"]


def test_at_most_seven_functions_lie_on_the_way_from_collect_moments_to_the_matrix_products(monkeypatch):
    """Counted on the stack where NumPy is called: products of layers, of the pullback, and of the moments' squares."""
    deepest: list[str] = []

    def spied(function):
        def called(*arguments, **keywords):
            frame, names = sys._getframe(1), []
            while frame is not None:
                if Path(frame.f_code.co_filename).is_relative_to(PACKAGE) and not frame.f_code.co_name.startswith("<"):
                    names.append(frame.f_code.co_name)
                frame = frame.f_back
            deepest[:] = max(deepest, names, key=len)
            return function(*arguments, **keywords)

        return called

    for name in ("matmul", "square"):
        monkeypatch.setattr(np, name, spied(getattr(np, name)))
    mlp = ec.MLP.initialize([3, 4, 2], seed=1)
    ec.collect_moments(mlp, np.random.default_rng(0).standard_normal((10, 3)))
    assert deepest[-1] == "collect_moments" and len(deepest) <= 7, deepest


def test_data_are_frozen() -> None:
    """Every dataclass, the private ones too, but what gathers while a model is read, and running sums."""
    mutable = {
        node.name
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for decorator in map(ast.unparse, node.decorator_list)
        if "dataclass" in decorator and "frozen=True" not in decorator
    }
    assert mutable == {"Reading", "_Sums"}

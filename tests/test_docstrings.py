"""What `help` says of everything public: the sections in order, every parameter and no other, examples that run."""

from __future__ import annotations

import ast
import builtins
import doctest
import importlib
import inspect
import pkgutil
import pydoc
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any, NamedTuple, get_args

import numpy as np
import pytest

import ecprune_np as ec

SECTIONS = ["Parameters", "Attributes", "Returns", "Raises", "Examples"]
PACKAGES = {"ec": ec} | {f"ec.{name}": module for name, module in vars(ec).items() if name in ec.__all__}
PACKAGES = {name: module for name, module in PACKAGES.items() if isinstance(module, ModuleType)}


class Public(NamedTuple):
    """A public function, class, or method of a public class (`owner`)."""

    object: Any
    owner: type | None = None

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.object) or ""

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """Those that a caller gives, by the name under which they are described: *args with its star."""
        given = inspect.signature(self.object).parameters
        hidden = ("self", "cls") if self.owner else ()
        return {str(p).split(":")[0] if "*" in str(p) else n: p for n, p in given.items() if n not in hidden}

    @property
    def sections(self) -> dict[str, str]:
        """The text of each section by its title, in the order in which they stand."""
        parts = re.split(r"^(\w+)\n(-+)\n", self.doc, flags=re.M)[1:]
        assert all(len(title) == len(line) for title, line in zip(parts[::3], parts[1::3]))
        return dict(zip(parts[::3], parts[2::3]))

    def entries(self, title: str) -> list[tuple[str, str]]:
        """(name, type) of everything that a section describes, with a description below each (but a type alone)."""
        found = re.findall(r"^(\S[^\n]*)\n(    \S)?", self.sections.get(title, "") + "\n", flags=re.M)
        assert all(description for _, description in found) or title == "Returns"
        return [(name, kind) for line, _ in found for name, _, kind in [line.partition(" : ")]]


def public_objects() -> dict[str, Public]:
    """Every function and class that an `__all__` names, each once, and the methods of these classes."""
    found: dict[str, Public] = {}
    for package, module in PACKAGES.items():
        for name in getattr(module, "__all__", []):
            value = inspect.unwrap(getattr(module, name)) if callable(getattr(module, name)) else None
            if value is None or any(value is p.object for p in found.values()):
                continue
            found[f"{package}.{name}"] = Public(value)
            if inspect.isclass(value):
                found |= {f"{package}.{name}.{key}": Public(method, value) for key, method in methods(value)}
    return found


def methods(kind: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, value in vars(kind).items():
        function = getattr(value, "__func__", value)  # of a class method
        if not name.startswith("_") and inspect.isfunction(function):
            yield name, function


def properties(kind: type) -> Iterator[tuple[str, str]]:
    for name, value in vars(kind).items():
        if not name.startswith("_") and inspect.isdatadescriptor(value) and not inspect.ismemberdescriptor(value):
            yield name, inspect.getdoc(value) or ""


def literals(hint: Any) -> list[str]:
    """The names in a `Literal`, or in a union with one."""
    return [name for part in get_args(hint) for name in ([part] if isinstance(part, str) else literals(part))]


def own_raises(function: Any) -> set[str]:
    """The exceptions that a function raises itself, by name."""
    raised = [node.exc for node in ast.walk(code_of(function)) if isinstance(node, ast.Raise)]
    return {e.func.id for e in raised if isinstance(e, ast.Call) and isinstance(e.func, ast.Name)}


def can_raise(function: Any, owner: type | None = None, seen: tuple[Any, ...] = ()) -> bool:
    """Whether the function, or one of this package that it calls by its name, has a `raise`."""
    tree = code_of(function)
    if any(isinstance(node, ast.Raise) for node in ast.walk(tree)):
        return True
    scope = {**function.__globals__, "cls": owner}
    for call in (node.func for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name, _, attribute = ast.unparse(call).partition(".")
        called = getattr(scope.get(name), attribute, None) if attribute else scope.get(name)
        called = inspect.unwrap(getattr(called, "__func__", called)) if callable(called) else None
        called = called.__init__ if inspect.isclass(called) else called
        ours = inspect.isfunction(called) and called.__module__.startswith(ec.__name__)
        if ours and called not in seen and can_raise(called, seen=(*seen, function)):
            return True
    return False


def code_of(function: Any) -> ast.AST:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except OSError:  # written by dataclasses, it checks nothing
        return ast.Module([], [])


PUBLIC = public_objects()
CLASSES = {name: p for name, p in PUBLIC.items() if inspect.isclass(p.object)}
FUNCTIONS = {name: p for name, p in PUBLIC.items() if not inspect.isclass(p.object)}
DATACLASSES = {name: p for name, p in CLASSES.items() if is_dataclass(p.object)}
each = pytest.mark.parametrize


@each("name", PUBLIC)
def test_a_docstring_begins_with_one_sentence(name):
    first, *rest = PUBLIC[name].doc.split("\n")
    assert first.endswith(".")
    assert rest[:1] in ([], [""])


@each("name", PUBLIC)
def test_sections_stand_in_order(name):
    titles = list(PUBLIC[name].sections)
    assert titles == [title for title in SECTIONS if title in titles]


@each("name", PUBLIC)
def test_every_parameter_is_described_and_no_other(name):
    """But where a method has one alone, its sentence is enough; a class may describe its attributes instead."""
    public = PUBLIC[name]
    names = [n for entry, _ in public.entries("Parameters") for n in entry.split(", ")]
    if names or not ((public.owner and len(public.parameters) < 2) or "Attributes" in public.sections):
        assert names == list(public.parameters)


@each("name", PUBLIC)
def test_every_parameter_has_a_type_and_its_default(name):
    public = PUBLIC[name]
    for entry, kind in public.entries("Parameters"):
        default = public.parameters[entry.split(", ")[0]].default
        assert kind
        if default is inspect.Parameter.empty:
            assert not re.search("optional|default", kind)
        elif not kind.endswith(", optional"):
            _, said, value = kind.rpartition(", default ")
            assert said and eval(value, {**vars(np)}) == default
        else:
            assert default is None


@each("name", FUNCTIONS)
def test_an_option_lists_the_names_that_it_takes(name):
    function = FUNCTIONS[name].object
    for entry, kind in FUNCTIONS[name].entries("Parameters"):
        if kind.startswith("{"):
            hint = eval(function.__annotations__[entry], function.__globals__)
            assert re.findall(r'"(\w+)"', kind.partition("}")[0]) == literals(hint)


@each("name", DATACLASSES)
def test_a_class_describes_its_fields(name):
    described = [entry for title in ("Parameters", "Attributes") for entry, _ in CLASSES[name].entries(title)]
    assert described == [field.name for field in fields(CLASSES[name].object) if not field.name.startswith("_")]


@each("name", CLASSES)
def test_a_property_is_told_in_one_line(name):
    assert [key for key, doc in properties(CLASSES[name].object) if not doc or "\n" in doc] == []


@each("name", FUNCTIONS)
def test_what_is_returned_is_described(name):
    public = FUNCTIONS[name]
    nothing = public.object.__annotations__.get("return") in (None, "None")
    short = public.owner and "Parameters" not in public.sections
    assert ("Returns" in public.sections) != nothing or (short and not nothing)
    assert all(entry for entry, _ in public.entries("Returns"))


@each("name", PUBLIC)
def test_what_can_raise_says_so(name):
    public = PUBLIC[name]
    named = {error for entry, _ in public.entries("Raises") for error in entry.split(", ")}
    for error in named:
        found = getattr(builtins, error, None) or getattr(ec, error, None) or pkgutil.resolve_name(error)
        assert issubclass(found, Exception)
    function = public.object.__init__ if inspect.isclass(public.object) else public.object
    assert named or not (public.parameters and can_raise(function, public.owner))
    assert own_raises(function) <= {error.split(".")[-1] for error in named}


@each("name", PUBLIC)
def test_the_examples_run(name, monkeypatch, tmp_path):
    public = PUBLIC[name]
    for module in re.findall(r">>> (?:from|import) (\w+)", public.doc):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)  # for those that write files
    names = {**vars(inspect.getmodule(public.object)), "np": np, "ec": ec}
    examples = doctest.DocTestParser().get_doctest(public.doc, names, name, None, 0)
    report: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples, out=report.append)
    assert "".join(report) == ""
    assert examples.examples or public.owner
    assert bool(examples.examples) == (">>>" in public.sections.get("Examples", ""))


@each("package", [*PACKAGES, "pruning", "error_analysis", "streaming", "commands"])
def test_dir_lists_public_names_only(package):
    module = PACKAGES.get(package) or importlib.import_module(f"ecprune_np.{package}")
    assert dir(module) == sorted(module.__all__)
    assert [name for name in dir(module) if name.startswith("_") or not hasattr(module, name)] == []


def test_help_is_a_table_of_contents_in_the_order_of_all():
    assert re.findall(r"^    (\w+)  ", ec.__doc__, flags=re.M) == ec.__all__
    text = pydoc.plain(pydoc.render_doc(ec))
    assert [name for name in ec.__all__ if not re.search(rf"\b{name}\b", text)] == []

"""What installing makes of the project, and what its distributions hold; what CONTRIBUTING says is there."""

from __future__ import annotations

import configparser
import pkgutil
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import ecprune_np as ec
from ecprune_np.__main__ import main

ROOT = Path(__file__).resolve().parents[1]
NAME = "ecprune_np"


def installed(distribution: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in version(distribution).split(".")[:2])
    except PackageNotFoundError:
        return (0,)


wheels = pytest.mark.skipif(
    installed("setuptools") < (70, 1), reason="making a wheel needs setuptools>=70.1 (extra `dev`)"
)
sources = pytest.mark.skipif(installed("setuptools") < (64,), reason="making a distribution needs setuptools>=64")


def files() -> set[str]:
    """All files of the project: those tracked in a clone, those listed in an unpacked source distribution."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        return {name for name in listed.split("\0") if name and (ROOT / name).exists()}
    listed = (ROOT / f"{NAME}.egg-info" / "SOURCES.txt").read_text(encoding="utf-8")
    return {Path(name).as_posix() for name in listed.splitlines() if ".egg-info/" not in name}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project's files to build in, with what running it leaves behind."""
    copy = tmp_path_factory.mktemp("project")
    leftovers = ["tests/__pycache__/conftest.cpython-311.pyc", "examples/results/quick/mnist.csv", ".coverage"]
    for name in [*files(), *leftovers]:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name) if name not in leftovers else (copy / name).touch()
    return copy


def built(project: Path, what: str, into: Path) -> Path:
    """A distribution, made by setuptools as pip and build have it made."""
    code = f"import sys; from setuptools import build_meta; build_meta.build_{what}(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(into)], cwd=project, capture_output=True, check=True)
    (file,) = into.iterdir()
    return file


@sources
def test_the_source_distribution_holds_every_file_and_nothing_else(project: Path, tmp_path: Path) -> None:
    archive = built(project, "sdist", tmp_path)
    assert archive.name == f"{NAME}-{ec.__version__}.tar.gz"
    with tarfile.open(archive) as tar:
        held = {member.name.split("/", 1)[1] for member in tar.getmembers() if member.isfile()}
    generated = {name for name in held if name == "PKG-INFO" or name.startswith(f"{NAME}.egg-info/")}
    assert sorted(held - generated) == sorted(files())


@wheels
def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(project: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(built(project, "wheel", tmp_path)) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert sorted(held) == sorted(name for name in files() if name.startswith(f"{NAME}/"))


@wheels
def test_an_editable_install_is_a_path_that_type_checkers_can_follow(project: Path, tmp_path: Path) -> None:
    """And no hook, which only a running interpreter understands."""
    with zipfile.ZipFile(built(project, "editable", tmp_path)) as wheel:
        (name,) = (name for name in wheel.namelist() if ".dist-info/" not in name)
        text = wheel.read(name).decode()
    assert name.endswith(".pth")
    assert [Path(line).resolve() for line in text.splitlines()] == [project.resolve()]


def test_the_console_script_is_the_command_line() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    name, _, target = setup["options.entry_points"]["console_scripts"].strip().partition(" = ")
    assert name == NAME
    assert pkgutil.resolve_name(target) is main


def test_contributing_is_short_and_names_what_is_there() -> None:
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    named = re.findall(r"`([\w./]+(?:\.py|/))`", text)
    assert named
    assert [name for name in named if not any((folder / name).exists() for folder in (ROOT, ROOT / NAME))] == []

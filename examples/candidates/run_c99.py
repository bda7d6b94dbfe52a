"""Build the C99 program, let it work through the vectors, and judge its results.

python examples/candidates/run_c99.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ecprune_np.conformance import Report, cases, check_vectors, write_vectors

SOURCE = Path(__file__).with_name("ec_vectors.c")


def run(compiler: str, folder: Path) -> Report:
    """Write the vectors into `folder`, compute the results there, and judge them."""
    program = folder / "ec_vectors"
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra"]
    subprocess.run([compiler, *flags, "-o", str(program), str(SOURCE), "-lm"], check=True)
    write_vectors(folder)
    subprocess.run([str(program), *(str(folder / f"{case}.json") for case in cases())], check=True)
    return check_vectors(folder)


def main() -> int:
    """0: conforms; 1: does not; 77, as test harnesses have it: skipped, there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        print("skipped: no C compiler (cc, gcc, clang) is installed")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        report = run(compiler, Path(folder))
    print(report)
    return int(not report.ok)


if __name__ == "__main__":
    sys.exit(main())

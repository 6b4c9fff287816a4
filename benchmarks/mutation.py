"""Small faults written into linvar/symbolic, one at a time: does a test notice?

    python benchmarks/mutation.py --sample 40 --seed 1                          # a sample of the whole exact half
    python benchmarks/mutation.py --only linvar/symbolic/sgd --sample 20        # of a room
    python benchmarks/mutation.py --list --only linvar/symbolic/matrices.py     # what could be written, nothing run

A mutant is the package with one operator swapped, one comparison or condition turned round, one integer off by one, or one
function returning its first argument. It is written into a copy of the checkout, never into the checkout itself. The doctests of
its module run on it, then the tests nearest to it (those that bear its name; by imports: those that import it, those that import
what imports it, ...), until one fails. A mutant that no test notices is a survivor: it changes nothing that can be seen, or a
test is missing. One that makes the tests run out of time is counted by itself.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SWAPS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.FloorDiv: ("//", "*"),
    ast.Div: ("/", "*"),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
}
#: what is looked for in vain: messages, and whatever a type checker alone reads
UNSEEN = (ast.Raise, ast.JoinedStr, ast.AnnAssign, ast.Assert, ast.Import, ast.ImportFrom)


@dataclass(frozen=True)
class Mutant:
    """One fault: the characters from ``start`` to ``stop`` of a file become others."""

    file: str
    line: int
    start: int
    stop: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  {self.before.strip()}  ->  {self.after.strip()}"

    def applied(self, text: str) -> str:
        """The file with the fault."""
        return text[: self.start] + self.after + text[self.stop :]


class Sites(ast.NodeVisitor):
    """Every place of a file where a fault can be written."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.text = file, text
        lines = text.splitlines(keepends=True)
        self.starts = [0]
        for line in lines:
            self.starts.append(self.starts[-1] + len(line))
        self.lines = lines
        self.found: list[Mutant] = []
        self.visit(ast.parse(text))

    def place(self, line: int, column: int) -> int:
        """Characters before a place that the parser counts in bytes."""
        return self.starts[line - 1] + len(self.lines[line - 1].encode()[:column].decode())

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where a node begins and ends."""
        return self.place(node.lineno, node.col_offset), self.place(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def add(self, line: int, start: int, stop: int, after: str) -> None:
        """Keep a fault, if it is still a program."""
        mutant = Mutant(self.file, line, start, stop, self.text[start:stop], after)
        try:
            ast.parse(mutant.applied(self.text))
        except SyntaxError:
            return
        self.found.append(mutant)

    def between(self, left: ast.AST, right: ast.AST, operator: ast.AST) -> None:
        """An operator between two operands."""
        old, new = SWAPS.get(type(operator), ("", ""))
        start, stop = self.span(left)[1], self.span(right)[0]
        middle = self.text[start:stop]
        if old and middle.count(old) == 1 and "#" not in middle:
            self.add(left.end_lineno, start, stop, middle.replace(old, new))  # type: ignore[attr-defined]

    def visit(self, node: ast.AST) -> None:
        """All of a node but what no run can see."""
        if not isinstance(node, UNSEEN):
            super().visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if not any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in (node.left, node.right)):
            self.between(node.left, node.right, node.op)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators):
            self.between(left, right, operator)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for left, right in zip(node.values, node.values[1:]):
            self.between(left, right, node.op)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, (ast.Not, ast.USub)):
            start, stop = self.span(node)
            self.add(node.lineno, start, stop, f"({self.text[slice(*self.span(node.operand))]})")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if type(node.value) is int:
            self.add(node.lineno, *self.span(node), str(node.value + 1))
        elif isinstance(node.value, bool):
            self.add(node.lineno, *self.span(node), str(not node.value))

    def visit_If(self, node: ast.If) -> None:
        start, stop = self.span(node.test)
        if self.text[start:stop] != "TYPE_CHECKING":
            self.add(node.lineno, start, stop, f"not ({self.text[start:stop]})")
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        taken = [
            argument.arg
            for argument in (*node.args.posonlyargs, *node.args.args)
            if argument.arg not in ("self", "cls")
        ]
        for statement in ast.walk(node):
            if isinstance(statement, ast.Return) and statement.value is not None and taken:
                start, stop = self.span(statement.value)
                if self.text[start:stop] != taken[0]:
                    self.add(statement.lineno, start, stop, taken[0])
        for child in (*node.body, *node.args.defaults, *(one for one in node.args.kw_defaults if one)):
            self.visit(child)


def mutants(only: list[str]) -> list[Mutant]:
    """All of some files and folders, in order, each once."""
    found: dict[Mutant, None] = {}
    for place in only:
        path = ROOT / place
        if not path.exists():
            raise SystemExit(f"--only {place}: no such file or folder")
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            found.update(dict.fromkeys(Sites(str(file.relative_to(ROOT)), file.read_text(encoding="utf-8")).found))
    return list(found)


# which tests


def imported(file: Path, package: set[str], homes: dict[str, str]) -> set[str]:
    """The modules of the package that a file imports, anywhere in it; ``lv.name`` counts as the name's home."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {homes.get(alias.name, "") for alias in node.names if node.module == "linvar"}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "lv":
            found.add(homes.get(node.attr, ""))
    return found & package


def public_homes(root: Path) -> dict[str, str]:
    """Public name -> the module it lives in, as linvar/__init__ (or its .pyi) says to type checkers."""
    for name in ("__init__.pyi", "__init__.py"):
        path = root / "linvar" / name
        if path.exists():
            nodes = [
                node
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.ImportFrom)
            ]
            homes = {
                alias.asname or alias.name: f"linvar.{node.module}" if node.level else str(node.module)
                for node in nodes
                for alias in node.names
            }
            if homes.keys() - {"import_module", "annotations", "TYPE_CHECKING", "Any"}:
                return homes
    return {}


def distances(target: str, imports: dict[str, set[str]]) -> dict[str, int]:
    """How many imports each module is away from one: 0 itself, 1 what imports it."""
    found, edge = {target: 0}, {target}
    while edge:
        edge = {name for name, used in imports.items() if used & edge and name not in found}
        found.update(dict.fromkeys(edge, max(found.values()) + 1))
    return found


def module_of(file: str) -> str:
    """Its dotted name."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def nearest(file: str, most: int, root: Path = ROOT) -> list[str]:
    """Its doctests, its namesakes among the tests, and those nearest to it; small files first where the distance is the same."""
    sources = {module_of(str(path.relative_to(root))): path for path in (root / "linvar").rglob("*.py")}
    package, homes = set(sources), public_homes(root)
    away = distances(module_of(file), {name: imported(path, package, homes) for name, path in sources.items()})
    ranked = []
    for path in (root / "tests").rglob("test_*.py"):
        steps = [away[name] for name in imported(path, package, homes) if name in away]
        if steps:
            namesake = Path(file).stem in path.stem
            ranked.append((not namesake, min(steps), path.stat().st_size, str(path.relative_to(root))))
    return [file, *(name for *_, name in sorted(ranked)[:most])]


# the run


def tested(copy: Path, tests: list[str], limit: float | None) -> subprocess.CompletedProcess[str]:
    """pytest on the copy, until a test fails."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=limit, env=environment)
    if done.returncode > 3:  # none of passed, failed, not even imported, broken off
        raise SystemExit(f"{shlex.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def verdict(mutant: Mutant, copy: Path, most: int, limit: float, sound: set[str]) -> str:
    """What the tests say of a mutant: "noticed", "survived", or that they took too long to say.

    A test that fails has to pass without the mutant; those that were seen to are kept in ``sound``.
    """
    path = copy / mutant.file
    text = path.read_text(encoding="utf-8")
    path.write_text(mutant.applied(text), encoding="utf-8")
    try:
        done = tested(copy, nearest(mutant.file, most, copy), limit)
    except subprocess.TimeoutExpired:
        return "time"
    finally:
        path.write_text(text, encoding="utf-8")
    if not done.returncode:
        return "survived"
    failed = set(re.findall(r"^(?:FAILED|ERROR) ([^\s\[]+)", done.stdout, re.M))
    if failed - sound and tested(copy, sorted(failed), None).returncode:
        raise SystemExit(f"{', '.join(sorted(failed))}: fails without a mutant, too")
    sound |= failed
    return "noticed"


def copied(folder: str) -> Path:
    """What the tests need, in a folder of its own."""
    copy = Path(folder) / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", ".git", ".venv", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, copy, ignore=ignored)
    return copy


def run(chosen: list[Mutant], most: int, limit: float) -> Iterator[tuple[Mutant, str]]:
    """Each with its verdict, said as it comes."""
    with tempfile.TemporaryDirectory() as folder:
        copy, sound = copied(folder), set[str]()
        for number, mutant in enumerate(chosen, 1):
            begin = time.perf_counter()
            said = verdict(mutant, copy, most, limit, sound)
            print(
                f"{number}/{len(chosen)} {said}, {time.perf_counter() - begin:.0f} s: {mutant}",
                file=sys.stderr,
                flush=True,
            )
            yield mutant, said


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", default=["linvar/symbolic"], metavar="PATH", help="files or folders to write faults into"
    )
    parser.add_argument("--sample", type=int, default=40, metavar="N", help="how many, drawn at random (40)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--files", type=int, default=8, metavar="N", help="test files nearest to each (8)")
    parser.add_argument("--limit", type=float, default=300, metavar="SECONDS", help="for the tests of one mutant (300)")
    parser.add_argument("--list", action="store_true", help="print all, run none")
    arguments = parser.parse_args()
    everything = mutants(arguments.only)
    if arguments.list:
        print(*everything, sep="\n")
        return 0
    chosen = random.Random(arguments.seed).sample(everything, min(arguments.sample, len(everything)))
    found = list(run(chosen, arguments.files, arguments.limit))
    left = [mutant for mutant, said in found if said == "survived"]
    late = sum(said == "time" for _, said in found)
    print(f"{len(found)} of {len(everything)} mutants: {len(found) - len(left) - late} noticed, {len(left)} survived, "
          f"{late} not decided in {arguments.limit:g} s\n")  # fmt: skip
    if left:
        print("| file | line | mutation |\n|---|---:|---|")
        for mutant in left:
            print(f"| {mutant.file} | {mutant.line} | `{mutant.before.strip()}` -> `{mutant.after.strip()}` |")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What .ci/run reads from the project: the README's test command, the lowest libraries allowed, what measures coverage."""

import pathlib
import re
import sys
import tomllib


def test_command() -> str:
    """The line after the marker in README.md."""
    text = pathlib.Path("README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- test-command -->\s*```(?:bash|sh)\n(.+?)\n```", text, re.S)
    if not found or "\n" in found[1]:
        raise SystemExit("README.md has no one-line test command after <!-- test-command -->")
    return found[1]


def lowest() -> str:
    """Every requirement of the package and its tests, at its lower bound."""
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [line for line in (*project["dependencies"], *extras["data"], *extras["test"]) if "[" not in line]
    wrong = [line for line in wanted if not re.fullmatch(r"[\w-]+>=[\w.]+", line)]
    if wrong:
        raise SystemExit(f"pyproject.toml: write NAME>=VERSION, not {wrong[0]!r}")
    return "\n".join(line.replace(">=", "==") for line in wanted)


def coverage() -> str:
    """The developer's pins of what measures coverage."""
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    return "\n".join(
        one for one in project["optional-dependencies"]["dev"] if re.match(r"(coverage|pytest-cov)==", one)
    )


print({"test-command": test_command, "lowest": lowest, "coverage": coverage}[sys.argv[1]]())

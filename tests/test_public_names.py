"""What `import linvar as lv` shows: a frozen list, loaded on first use, the same whatever was imported, from the wheel too."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from tiers import slow_but

import linvar as lv

ROOT = Path(__file__).parent.parent
#: frozen: a name that is added or goes is added here, or goes, on purpose, and is in the changelog
_PUBLIC = """
    Problem Gaussian Dataset Finite Independent ScaleMixture Normal Uniform Rademacher load_problem
    Rational rationalize symbolic_weights symbolic_matrix b u
    gradient_variance second_moment squared_mean expected_loss expected_weights weight_covariance
    trace_formula TraceFormula Traces first_order_formula FirstOrderFormula
    derive derive_steps compare_batch_sizes Derivation large_batch LargeBatchExpansion Expansion Lattice Regression LargeBatch
    plan Plan DerivationTooLargeError BatchPolynomial load_polynomial wishart_moment RegressionMoments regression_curve
    verify Report search_nonmonotone SearchResult
    simulate gradient_moments noise_scale two_batch_noise_scale record_noise recorded_noise NoiseHistory first_order
    hessian_noise_scale Estimate
    InputError plot_variance plot_loss plot_noise datasets families numeric testing
"""
_NUMERIC = """
    FirstOrder GradientMoments NoiseScale HessianNoiseScale first_order gradient_moments noise_scale
    two_batch_noise_scale hessian_noise_scale
    record_noise recorded_noise NoiseHistory regression_curve simulate
"""
#: all that 0.1.0 showed
_FIRST_RELEASE = """
    BatchPolynomial Dataset DerivationTooLargeError Estimate Gaussian LargeBatchExpansion Plan Problem Rational RegressionMoments
    Report SearchResult expected_loss expected_weights gradient_variance load_polynomial load_problem plan plot_variance
    rationalize regression_curve search_nonmonotone second_moment squared_mean symbolic_matrix symbolic_weights verify
    weight_covariance wishart_moment
"""
PUBLIC, NUMERIC = sorted(_PUBLIC.split()), sorted(_NUMERIC.split())
#: each imports what puts modules, and names like those of functions, into the package
IMPORTS = [
    "linvar.cli.app",
    "linvar.numeric.simulation.trajectories, linvar.plotting.variance, linvar.datasets",
    "linvar.symbolic.plan, linvar.symbolic.derivation, linvar.search.nonmonotone, linvar.verification.verify",
    "linvar.experiments.curves, linvar.tables.reading, linvar.progress",
]


def printed(code: str, path: Path = ROOT, **environment: str) -> list[str]:
    """The JSON list that a fresh interpreter prints, with linvar from ``path``."""
    preamble = f"import json, sys; sys.path.insert(0, {str(path)!r}); import linvar as lv\n"
    done = subprocess.run(
        [sys.executable, "-P", "-c", preamble + code],
        capture_output=True, text=True, timeout=180, env=os.environ | {"PYTHONPATH": ""} | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def stub_names(package: str) -> dict[str, str]:
    """Name -> home of what the stub of a package imports."""
    text = (ROOT / package.replace(".", "/") / "__init__.pyi").read_text(encoding="utf-8")
    return {
        alias.asname or "": f"{package}.{node.module}" if node.module else package
        for node in ast.parse(text).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name  # without ``as`` a type checker takes the name for private
    }


def test_dir_is_the_frozen_list():
    assert dir(lv) == PUBLIC == sorted(lv.__all__)
    assert dir(lv.numeric) == NUMERIC == sorted(lv.numeric.__all__)


def test_every_name_is_there_and_documented():
    for module, names in ((lv, PUBLIC), (lv.numeric, NUMERIC)):
        for name in names:
            assert getattr(module, name).__doc__, name


def test_types_see_the_same_names():
    assert sorted(stub_names("linvar")) == PUBLIC
    assert sorted(stub_names("linvar.numeric")) == NUMERIC


def returns(name: str) -> dict[str, str]:
    """Function -> what it says it returns: of a public function, or of the public methods and properties of a class."""
    value = getattr(lv, name)
    members = {name: value}
    if inspect.isclass(value):
        own = [
            (attribute, kept)
            for base in value.__mro__
            if base.__module__.startswith("linvar")
            for attribute, kept in vars(base).items()
        ]
        members = {
            f"{name}.{attribute}": kept
            for attribute, kept in own
            if not attribute.startswith("_") or attribute == "__call__"
        }
    found = {}
    for place, member in members.items():
        function = (
            member.fget
            if isinstance(member, property)
            else getattr(member, "func", getattr(member, "__func__", member))
        )
        if inspect.isfunction(function):
            found[place] = str(inspect.signature(function).return_annotation)
    return found


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_returned_is_never_anything(name):
    vague = {
        place: said for place, said in returns(name).items() if said in ("Any", "object", "tuple[Any, ...]", "_empty")
    }
    assert not vague


def test_the_check_above_sees_functions_methods_and_properties():
    assert returns("rationalize") == {"rationalize": "Rationals"}
    assert returns("BatchPolynomial").keys() >= {
        "BatchPolynomial.__call__",
        "BatchPolynomial.degree",
        "BatchPolynomial.from_dict",
    }


@pytest.mark.parametrize("name", PUBLIC)
def test_a_name_is_the_object_of_its_home(name):
    home = importlib.import_module(stub_names("linvar")[name])
    assert getattr(lv, name) is getattr(home, name)


def test_nothing_of_the_first_release_is_gone_without_a_word():
    assert set(_FIRST_RELEASE.split()) <= set(PUBLIC)


@pytest.mark.parametrize("module", ["lv", "lv.numeric"])
def test_another_name_is_no_attribute(module):
    code = f"try: {module}.nothing\nexcept AttributeError as error: print(json.dumps([str(error), error.name]))"
    message, name = printed(code)
    assert "nothing" in message and "linvar" in message and name == "nothing"


@pytest.mark.parametrize("modules", slow_but(IMPORTS, IMPORTS[0], IMPORTS[2]))
def test_what_was_imported_before_changes_nothing(modules):
    code = f"import {modules}\nprint(json.dumps([dir(lv), dir(lv.numeric), callable(lv.plan), callable(lv.verify)]))"
    assert printed(code) == [PUBLIC, NUMERIC, True, True]


def test_modules_are_there_without_an_import():
    code = "loaded = [name for name in sys.modules if name.startswith('linvar.')]\n"
    code += "public = dir(lv)\n"
    code += (
        "print(json.dumps([loaded, public, lv.datasets.__name__, lv.numeric.__name__, callable(lv.numeric.simulate)]))"
    )
    assert printed(code) == [[], PUBLIC, "linvar.datasets", "linvar.numeric", True]


def test_to_name_the_lattice_loads_no_jax():
    code = (
        "lv.Lattice, lv.Expansion, lv.Regression, lv.LargeBatch, lv.derive, lv.large_batch, lv.numeric, lv.datasets\n"
    )
    code += "print(json.dumps(sorted({'jax', 'sympy', 'matplotlib', 'numpy'} & set(sys.modules))))"
    assert printed(code) == []


def test_all_names_load_at_once():
    # what the variable of SPEC 1 is for: no name is hidden behind a broken import
    loaded = printed("print(json.dumps(sorted(sys.modules)))", EAGER_IMPORT="1")
    homes = set(stub_names("linvar").values()) | set(stub_names("linvar.numeric").values())
    assert homes <= set(loaded) and not homes <= set(printed("print(json.dumps(sorted(sys.modules)))"))


def build(kind: str, folder: Path) -> Path:
    """A wheel or an sdist of this tree, by the backend that pyproject.toml names, without a network."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip('NOT TESTED: what the wheel holds, as its backend is missing here: pip install "hatchling>=1.25"')
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("NOT TESTED: what the wheel holds, as there is no pyproject.toml beside the tests")
    code = f"from hatchling.build import build_{kind}; print(build_{kind}({str(folder)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


def test_the_wheel_shows_the_same_names(tmp_path):
    wheel = build("wheel", tmp_path)
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        assert {"linvar/__init__.pyi", "linvar/numeric/__init__.pyi", "linvar/py.typed"} <= set(archive.namelist())
        archive.extractall(installed)
    code = "from_wheel = lv.Problem([[[2]]], lv.Gaussian([[-1]]))\n"
    code += "print(json.dumps([lv.__file__, dir(lv), dir(lv.numeric), str(from_wheel.step)]))"
    assert printed(code, installed) == [str(installed / "linvar" / "__init__.py"), PUBLIC, NUMERIC, "0"]


def test_the_sdist_holds_the_stubs(tmp_path):
    with tarfile.open(build("sdist", tmp_path)) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"linvar/__init__.pyi", "linvar/numeric/__init__.pyi", "tests/test_public_names.py"} <= inside

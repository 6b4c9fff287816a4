"""Shared by all tests: checked annotations, Hypothesis' profiles, one key a test; claims whose tests did not run;
how many random problems each road was taken on."""

from __future__ import annotations

import gc
import os
import zlib
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

# Tests compile more than they run: LLVM's optimisations, XLA's splitting of a program into parts and its newer emitters would be
# half of their time. With XLA_FLAGS= in the environment they are there as for a user; .ci/run's quick tiers and .ci/nightly have
# them. XLA ends a process over a flag that it does not know, and later versions than jaxlib 0.10 have the newer emitters only.
FLAGS = ["--xla_backend_optimization_level=0", "--xla_cpu_parallel_codegen_split_count=1"]
if version("jaxlib").startswith("0.10."):
    FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(FLAGS))

# pytest-xdist tells its workers how wide its terminal is, and commands would fit that
os.environ.pop("COLUMNS", None)

# Nothing that is imported or collected is garbage, and JAX keeps what it traced and compiled: Python's collector would go over
# all of it again and again, seconds each time. It is off while tests are collected, and then looks at what a file's tests leave.
gc.disable()

# must come before the first import of linvar.numeric; tests/numeric/test_numeric_shapes.py is its canary. The one room in which
# no annotation says a shape is left to mypy: to check every call there took a quarter of the time of its tests. With
# LINVAR_CHECKED=all in the environment it is checked, too, as in .ci/run's quick tiers and .ci/nightly.
ROOT = Path(__file__).parent
UNSHAPED = () if os.environ.get("LINVAR_CHECKED") == "all" else ("per_example",)
CHECKED = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "linvar" / "numeric").rglob("*.py")
    if not set(UNSHAPED) & set(path.parts)
]
install_import_hook(CHECKED, "beartype.beartype")

# Both profiles start from Hypothesis' own default, not from the one that it takes where CI is set: derandomised there, nights
# would always have the same examples. Derivations and compilations take as long as they take.
common = settings(
    settings.get_profile("default"), deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
# the same examples on every machine, half as many as Hypothesis has: the run of every change stays short
settings.register_profile("linvar", common, derandomize=True, max_examples=50)
# others every night, and twenty times as many: HYPOTHESIS_PROFILE=nightly, or --hypothesis-profile nightly
settings.register_profile("nightly", common, max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "linvar"))


#: The quick tier, ``-m quick``: all examples in docstrings, and files, tests and instances of tests. What depends on the versions
#: of Python, JAX and the other libraries, and something of every room (.ci/run prints what of each it covers).
QUICK = {
    # the first floor
    "test_errors", "test_exact", "test_expressions", "test_arrays", "test_text_files", "test_problem", "test_problem_file",
    "test_tables", "test_import", "test_plotting", "test_rational", "test_file_symbols", "test_table",
    # the exact half
    "test_names", "test_small_doors", "test_oblong", "test_polynomial", "test_jax_function", "test_batch_size", "test_monotone",
    "test_every_quantity_equals_the_expansion[gradient_variance-problem0]", "test_digits", "test_checkpoint",
    "test_a_template_that_rises_is_its_own_find", "test_numbers_of_a_law", "test_integers_that_index_stay",
    "test_refusals", "test_moves", "test_trees",
    "test_published_values_of_polynomial_losses", "test_families_equal_the_enumeration_of_every_batch",
    "test_cost", "test_size", "test_amounts", "test_cures", "test_isserlis", "test_one_weight_by_hand",
    # the floating-point half
    "test_numeric_jaxprs", "test_numeric_errors", "test_numeric_progress", "test_numeric_moments", "test_numeric_network",
    "test_numeric_first_order_errors", "test_schedules_and_progress",
    "test_losses_that_couple_examples_are_refused_with_the_operation",
    *(f"test_losses_that_are_sums_over_examples[2-{loss}]" for loss in ("attention", "convolution")),
    # the surfaces
    "test_findings", "test_one_layer_is_answered_by_its_theorem", "test_rounding_keeps_the_digits_it_says",
    "test_derive_json_is_one_object_with_the_exact_polynomial", "test_a_mistake_is_one_line",
}  # fmt: skip
#: Of those files, what takes seconds and whose like is there.
NOT_QUICK = {
    "test_a_hundred_thousand_rows_take_less_than_200_megabytes", "test_a_batch_beyond_32_bits_is_drawn_by_its_second_moments",
    "test_a_random_loss_gets_a_stated_key_for_every_example", "test_a_byte_budget_means_small_chunks_and_the_same_answer",
    "test_centred_is_within_a_thousandth_where_the_mean_dominates_by_1e8",
    "test_examples_that_are_not_finite_are_refused_or_dropped_and_counted", "test_a_convolution_and_a_table_do_not_cancel_either",
    "test_an_operation_whose_parameters_have_other_names_gives_the_same_moments_and_is_named",
    "test_an_operation_of_somebody_elses_inside_a_loop_is_named",
    "test_an_operation_of_somebody_elses_gives_the_same_moments_and_is_named[2500-fallback]",
    *(f"test_a_parameter_that_the_installed_jax_calls_otherwise[{name}]"
      for name in ("scan-jaxpr", "scan-length", "scan-unroll", "gather-slice_sizes")),
    *(f"test_any_loss_any_pytree_any_chunk[{chunk}-{which}]" for chunk in (1, 22, 23, 100) for which in (0, 1)),
    "test_a_batched_loss_gives_what_the_loss_of_one_example_gives", "test_a_gaussian_law_needs_a_quadratic_loss",
    "test_bits_are_raised_until_the_digits_hold", "test_decreasing_from_is_brute_force",
    "test_slope_zeros_at_integers_and_multiple_ones", "test_expressions_are_their_own_inverse",
    "test_without_an_axes_a_pyplot_figure_is_made_and_never_shown",
}  # fmt: skip


def is_quick(item):
    """Whether a test is of the quick tier, by its file, its name or its instance; slow ones are not."""
    names = {item.path.stem, item.name.partition("[")[0], item.name}
    chosen = isinstance(item, pytest.DoctestItem) or (names & QUICK and not names & NOT_QUICK)
    return chosen and item.get_closest_marker("slow") is None


def pytest_collection_modifyitems(items):
    """Mark the quick tier."""
    for item in items:
        if is_quick(item):
            item.add_marker(pytest.mark.quick)


def keep_what_is_there():
    """Collect what is garbage; what survives is not looked at again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish():
    """From here on there is garbage."""
    keep_what_is_there()
    gc.set_threshold(10_000, 10, 10)
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """What the tests of a file leave behind."""
    if nextitem is None or nextitem.path != item.path:
        keep_what_is_there()


@pytest.fixture
def key(request):
    """A typed key of this test's own, the same on every machine; printed when the test fails."""
    import jax

    seed = zlib.crc32(request.node.nodeid.encode()) % 2**31
    print(f"key = jax.random.key({seed})")
    return jax.random.key(seed)


_outcomes: dict[str, str] = {}


def pytest_runtest_logreport(report):
    """Remember what became of each test (under xdist: in the main process, which hears of every test)."""
    from ledger import NOT_CHECKED, record

    if report.when == "call" or not report.passed:
        absent = report.skipped and NOT_CHECKED in str(report.longrepr)
        record(_outcomes, report.nodeid, NOT_CHECKED if absent else report.outcome)


def pytest_deselected(items):
    """Remember what was left out of this run."""
    _outcomes.update({item.nodeid: "left out" for item in items})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Under xdist the workers know what was left out."""
    _outcomes.update(getattr(node, "workeroutput", {}).get("left out", {}))


def pytest_sessionfinish(session, exitstatus):
    """A run of the whole suite fails if a test of a claim in proofs/README.md did not run, or one of its instances."""
    if hasattr(session.config, "workerinput"):
        session.config.workeroutput["left out"] = {n: o for n, o in _outcomes.items() if o == "left out"}
        return
    options = session.config.option
    selections = ("keyword", "collectonly", "deselect", "ignore", "ignore_glob", "lf", "stepwise")
    selected = options.markexpr not in ("", "not slow") or any(getattr(options, name, None) for name in selections)
    if session.config.args_source.name in ("TESTPATHS", "INVOCATION_DIR") and not selected and exitstatus == 0:
        from ledger import NOT_CHECKED, claims, not_checked, not_run

        unchecked = not_checked(claims(), _outcomes)
        if unchecked:
            print(f"\nproofs/README.md: {NOT_CHECKED} in this run: {', '.join(unchecked)}")
        silent = not_run(claims(), _outcomes, slow=not options.markexpr)
        if silent:
            print(f"\nproofs/README.md: tests of these claims did not run: {'; '.join(silent)}")
            session.exitstatus = 1


def pytest_terminal_summary(terminalreporter):
    """Add up what tests recorded as ``record_property("roads", counts)``, under xdist too."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    counts: Counter[str] = Counter()
    for report in reports:
        for name, value in report.user_properties:
            if name == "roads":
                counts.update(value)
    if counts:
        problems = counts.pop("problems")
        roads = ", ".join(f"{road} {count}" for road, count in counts.most_common())
        terminalreporter.write_line(f"Roads that gave identical fractions on {problems} random problems: {roads}")

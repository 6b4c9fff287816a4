"""Does a smaller batch help: what the experiment says of cells, and its first order beside the exact coefficient."""

from __future__ import annotations

import copy
import json

import pytest
from matplotlib.figure import Figure

import linvar as lv
from linvar.experiments import helps, run_experiment
from linvar.experiments.helps_conclusion import Measured, compared, conclude, ranges
from linvar.experiments.runner import Request

OWN = Measured("A network", 0.1, (4, 16), (1, 3), 100)
#: to first order the train loss is 2 + k/b with k = 0, -1, 0, 2, and the test loss unresolved
LOSS = {"limit": [2.0] * 4, "coefficient": [0.0, -1.0, 0.0, 2.0], "standard_error": [0.0] * 4,
        "answers": ["unresolved", "yes", "unresolved", "no"], "equal_examples": [12, "yes"], "second": None}  # fmt: skip
TEST = {**LOSS, "answers": ["unresolved"] * 4, "standard_error": [0.5] * 4, "equal_examples": None}


def cells(error: float = 0.001, **shifts: float) -> dict[str, dict]:
    """Runs that are first order, but for what is added at b = 4, t = 3 to a loss."""
    path = {"parameters": 7, "factors": {"4": 0.25, "16": 0.0625}, "train_loss": LOSS, "test_loss": TEST}
    found = {"net-path": path}
    for b in OWN.batch_sizes:
        found[f"net-b-{b}"] = {
            str(t): {
                name: [2.0 + loss["coefficient"][t] / b + (b == 4 and t == 3) * shifts.get(name, 0.0), error]
                for name, loss in (("train_loss", LOSS), ("test_loss", TEST))
            }
            for t in OWN.steps
        }
    return found


def said(found: dict[str, dict]) -> list[str]:
    """The lines, after a picture was drawn of them."""
    conclusion = conclude({"net": OWN}, found)
    figure = Figure()
    conclusion.draw(figure)
    figure.canvas.draw()
    assert len(figure.axes) == 2
    json.dumps(conclusion.results, allow_nan=False)
    return conclusion.summary


def test_signs_sizes_and_agreement_are_said() -> None:
    text = "\n".join(said(cells()))
    assert "A network, 7 weights, learning rate 0.1; 100 runs at each b." in text
    assert "a smaller batch LOWERS it at t = 1; a smaller batch raises it at t = 3; unresolved at t = 2." in text
    assert (
        "At t = 3 it is 2 + 2/b: +25 % at b = 4." in text
        and "Test loss, to first order: unresolved at t = 1 to 3." in text
    )
    assert (
        "the sign at 4 of 4 places (b, t), that of first order; its size agrees (largest |z| = 0.0 at b = 4, t = 1)"
        in text
    )
    assert "Train loss of the same 12 examples, to first order: LOWER at the smaller b (b = 4 and 16)." in text
    assert text.count("of the same") == 1


def test_what_first_order_gets_wrong_is_said() -> None:
    text = "\n".join(said(cells(train_loss=0.5)))
    assert (
        "that of first order; its size is beyond first order at b = 4, t = 3 (largest |z| = 500.0 at b = 4, t = 3);"
        in text
    )
    text = "\n".join(said(cells(train_loss=-0.7)))
    assert (
        "the sign at 4 of 4 places (b, t): another one at b = 4, t = 3; its size is beyond first order at b = 4, t = 3 ("
        in text
    )
    text = "\n".join(said(cells(error=10.0)))
    assert "the sign at 0 of 4 places (b, t); its size agrees" in text


def test_what_first_order_leaves_is_the_exact_second_coefficient() -> None:
    shifted = cells(train_loss=0.5)
    shifted["net-path"] = {**shifted["net-path"], "train_loss": {**LOSS, "second": {"1": 0.0, "3": 8.0}}}
    shifted["net-b-16"]["3"]["train_loss"][0] += 8.0 / 16**2
    assert [one.second for one in compared(OWN, "train_loss", "net", shifted)] == [0.0, 0.5, 0.0, 8.0 / 16**2]
    agrees = (
        "beyond first order at b = 4, t = 3; b = 16, t = 3 (largest |z| = 500.0 at b = 4, t = 3), and with the exact"
    )
    assert f"{agrees} coefficient of 1/b^2 agrees (largest |z| = 0.0); a verdict" in "\n".join(said(shifted))
    shifted["net-path"]["train_loss"]["second"]["3"] = 7.0
    assert "of 1/b^2 does not agree either (largest |z| = 62.5)" in "\n".join(said(shifted))


def test_missing_estimates_are_said_to_be_so() -> None:
    lost = cells()
    for b in OWN.batch_sizes:
        for t in OWN.steps:
            lost[f"net-b-{b}"][str(t)]["train_loss"] = [None, None]
    text = "\n".join(said(lost))
    assert text.count("no finite estimate to compare") == 1
    nothing = copy.deepcopy(lost) | {"net-path": {}}
    assert "\n".join(said(nothing)).count("the path was not measured") == 2


def test_a_difference_is_measured_against_both_errors() -> None:
    (first, *_) = compared(OWN, "test_loss", "net", cells(error=0.1))
    assert (first.batch_size, first.step) == (4, 1)
    assert list(first.seen) == [pytest.approx(-0.25), 0.1] and list(first.said) == [-0.25, 0.125]
    assert abs(first.z) < 1e-9
    assert ranges([]) == "" and ranges([4]) == "4" and ranges([1, 2, 4]) == "1 to 2, 4"


def test_the_first_order_of_the_linear_network_is_the_exact_coefficient() -> None:
    network = helps._linear(Request("tiny"))
    path = helps._path(network, network.task, 4, 0)
    problem = helps.far_problem()
    for t, exact in enumerate(lv.derive_steps(problem, [0, 1])):
        coefficients = [*map(float, exact.loss.coefficients), 0.0]
        assert path["train_loss"]["limit"][t] == pytest.approx(coefficients[0], rel=1e-12)
        assert path["train_loss"]["coefficient"][t] == pytest.approx(coefficients[1], rel=1e-12)
        assert helps.second_coefficient(problem, t) == pytest.approx([*coefficients, 0.0][2], rel=1e-12)
    assert path["train_loss"]["answers"] == ["unresolved", "yes"] and path["parameters"] == 8
    assert path["factors"] == {"4": 0.25, "16": 0.0625} and "test_loss" not in path


@pytest.mark.slow
def test_the_experiment_end_to_end(tmp_path) -> None:
    result = run_experiment("helps", size="tiny", seed=1, directory=tmp_path)
    kept = json.loads(result.file.read_text())
    assert set(kept["results"]) == {"mlp_train_loss", "mlp_test_loss", "linear_train_loss"}
    assert {name.partition("-")[0] for name in kept["cells"]} == {"mlp", "linear"} and len(kept["cells"]) == 6
    assert "a smaller batch LOWERS it at t = 1." in "\n".join(result.summary)
    assert result.picture.read_bytes().startswith(b"\x89PNG")
    again = run_experiment("helps", size="tiny", seed=1, directory=tmp_path)
    assert again.cells_found == 6 and again.summary == result.summary

"""Workflow definitions: everything that is wrong is said at once, by file and line, before anything runs."""

# ruff: noqa: E501  (mistakes are quoted as they are)

from __future__ import annotations

import sys
import textwrap
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest

from leasehold import Flow, Hook, step, workflow
from leasehold.errors import UsageError
from leasehold.workflows import parameter_sets, values, yaml_text
from leasehold.workflows.finding import Places, WrongDefinitions, find

METHODS = """
from dataclasses import dataclass
from leasehold import Context, Flow, step, workflow

@dataclass(frozen=True)
class Cut:
    width: int = 20
    label: str = "x"

@step(parameters=Cut, timeout_s=10)
def cut(context: Context[Cut]): return 1

@step(timeout_s=10)
def read(context): return 1

async def slow(context): return 1
def two(one, other): return 1
NUMBER = 3
def told(call): ...
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder whose YAML files a test writes; `wf_methods` is a module beside them. What it imports is forgotten."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "_wf_methods.py").write_text(METHODS)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", "") and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(textwrap.dedent(text).lstrip("\n"), "utf-8")


def found(folder: Path):
    return find(Places(folder=str(folder), installed=False))


def mistakes(folder: Path) -> list[str]:
    return [str(one).replace(f"{folder}/", "") for one in found(folder).mistakes]


FORK = """
id: report
name: A report
steps:
  - {name: first, method: "_wf_methods:read"}
  - {name: left, method: "_wf_methods:cut", after: first, parameters: {width: 3}}
  - {name: right, method: "_wf_methods:slow", after: [first], timeout_s: 2, retries: 0}
  - {name: last, method: "_wf_methods:read", after: [left, right], seat: "store:a", breaker_after: 5}
hooks:
  - {name: told, on: [group_end, run_failed], call: "_wf_methods:told", attempts_max: 2}
"""


def test_a_sound_definition_is_what_the_kernel_takes(folder):
    write(folder, "report.yaml", FORK)
    catalog = found(folder)
    assert catalog.mistakes == []
    report = catalog.workflow("report")
    assert [(one.kind, one.children, one.attempts_max) for one in report.kernel_steps] == [
        ("report.first", (1, 2), 3), ("report.left", (3,), 3), ("report.right", (3,), 1), ("report.last", (), 3),
    ]  # fmt: skip
    assert report.seats == {"report.last": "store:a"}
    assert report.hooks == (Hook(name="told", on=("group_end", "run_failed"), call="_wf_methods:told", attempts_max=2),)
    assert report.step("left").parameters.width == 3


def test_steps_without_after_follow_the_one_before(folder):
    write(folder, "line.yaml", """
        id: line
        steps:
          - method: _wf_methods:read
          - method: _wf_methods:cut
          - method: _wf_methods.slow
            timeout_s: 1
    """)  # fmt: skip
    line = found(folder).workflow("line")
    assert [(one.name, one.parents) for one in line.steps] == [("read", ()), ("cut", (0,)), ("slow", (1,))]


def test_steps_may_be_written_before_those_they_wait_for(folder):
    write(folder, "order.yaml", """
        id: order
        steps:
          - {name: last, method: "_wf_methods:read", after: [b, a]}
          - {name: b, method: "_wf_methods:read", after: a}
          - {name: a, method: "_wf_methods:read", after: []}
    """)  # fmt: skip
    order = found(folder).workflow("order")
    assert [one.name for one in order.steps] == ["a", "b", "last"]
    assert order.kernel_steps[0].children == (1, 2)


def test_a_python_declaration_is_the_same_workflow(folder):
    write(folder, "report.yaml", FORK.replace("id: report", "id: yaml"))
    write(folder, "flows.py", """
        from leasehold import Flow, Hook, workflow
        from _wf_methods import cut, read, slow

        @workflow("report", name="A report",
                  hooks=[Hook(name="told", on=("group_end", "run_failed"), call="_wf_methods:told", attempts_max=2)])
        def report(flow: Flow):
            first = flow.step(read, name="first")
            left = flow.step(cut, name="left", after=first, parameters={"width": 3})
            right = flow.step(slow, name="right", after=first, timeout_s=2, retries=0)
            flow.step(read, name="last", after=[left, right], seat="store:a", breaker_after=5)
    """)  # fmt: skip
    catalog = found(folder)
    one, other = catalog.workflow("yaml"), catalog.workflow("report")
    assert (one.hooks, one.name) == (other.hooks, other.name)
    assert [(a.name, a.method, a.parents, a.timeout_s, a.retries, a.parameters) for a in one.steps] == [
        (a.name, a.method, a.parents, a.timeout_s, a.retries, a.parameters) for a in other.steps
    ]


def test_all_mistakes_of_all_files_are_said_at_once_with_their_lines(folder):
    """Method: a folder in which every file is wrong in several ways; each is named once, by file and line."""
    write(folder, "a.yaml", """
        id: words
        steps:
          - method: _wf_methods:cut
            parameters:
              widht: 4
              label: 5
          - method: _wf_methods:cutt
          - method: _wf_methods:slow
          - name: x
            method: _wf_methods:two
            timeout_s: soon
          - name: y
            method: nowhere.at:all
            after: [z, words]
            retires: 3
        hooks:
          - {name: one, on: [group_over], call: "_wf_methods:told"}
          - {name: two, on: [group_end], call: "_wf_methods:toldd"}
          - on: run_end
            call: _wf_methods:told
    """)  # fmt: skip
    write(folder, "b.yaml", "id: words\nsteps:\n  - method: _wf_methods:read\n")
    write(folder, "c.yaml", "id: broken\nsteps: [\n")
    write(folder, "d.py", "raise RuntimeError('no luck today')")
    assert mistakes(folder) == [
        "a.yaml:5: workflow 'words', step 'cut', widht: unknown parameter 'widht'; did you mean 'width'?",
        "a.yaml:6: workflow 'words', step 'cut', label: expected a text, got 5",
        "a.yaml:7: workflow 'words', step 'cutt': the method '_wf_methods:cutt' is not known: _wf_methods has no 'cutt'; "
        "did you mean 'cut'?",
        "a.yaml:8: workflow 'words', step 'slow': it has no timeout: give it timeout_s, or declare one beside the function",
        "a.yaml:10: workflow 'words', step 'x': the method '_wf_methods:two' must take one argument, its context; it is "
        "_wf_methods:two(one, other)",
        "a.yaml:11: workflow 'words', step 'x': 'timeout_s': expected a number, got 'soon'",
        "a.yaml:13: workflow 'words', step 'y': the method 'nowhere.at:all' is not known: there is no module 'nowhere'",
        "a.yaml:14: workflow 'words', step 'y': it waits for 'z', which is no step; there are: cut, cutt, slow, x, y",
        "a.yaml:14: workflow 'words', step 'y': it waits for 'words', which is no step; there are: cut, cutt, slow, x, y",
        "a.yaml:15: workflow 'words', step 'y': unknown key 'retires'; did you mean 'retries'?",
        "a.yaml:17: workflow 'words': Hook 'one': there is no event 'group_over'. Name one or more of group_start, "
        "group_end, run_start, run_end, run_failed, step_start, step_end, step_failed.",
        "a.yaml:18: workflow 'words': hook 'two': the function '_wf_methods:toldd' is not known: _wf_methods has no 'toldd'; "
        "did you mean 'told'?",
        "a.yaml:19: workflow 'words', hook 3: the key 'name' is missing",
        "b.yaml:1: workflow 'words': it is defined a second time; first in a.yaml:1",
        "c.yaml:3: this is no YAML: expected the node content, but found '<stream end>'",
        "d.py: it cannot be imported: RuntimeError: no luck today",
    ]  # fmt: skip
    with pytest.raises(WrongDefinitions, match=r"Definitions are wrong:\n") as wrong:
        found(folder).require_sound()
    assert wrong.value.exit_code == 2
    assert "leasehold workflow validate" in wrong.value.remedy


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("- {name: a, method: M, after: c}\n- {name: b, method: M}\n- {name: c, method: M}",
         "its steps wait for each other in a circle: a -> b -> c -> a"),
        ("- {name: a, method: M, after: a}", "its steps wait for each other in a circle: a -> a"),
        ("- {name: a, method: M}\n- {name: b, method: M}\n- {name: c, method: M, after: a}",
         "it ends in 2 steps (b, c); let one last step come after them"),
        ("- {name: a, method: M}\n- {name: b, method: M, after: []}\n- {name: c, method: M, after: [a, b]}",
         "it begins with 2 steps (a, b); let one come before them"),
        ("- {name: a, method: M}\n- {name: a, method: M}", "another step has this name already"),
        ("- {name: a/b, method: M}", "a step's name may have letters, digits, - and _"),
        ("- {name: a, method: M, timeout_s: 0}", "timeout_s=0 must be above 0"),
        ("- {name: a, method: M, retries: 1000}", "retries=1000 must be between 0 and 999"),
        ("- {name: a, method: M, backoff_s: 9, backoff_max_s: 3}", "backoff_max_s=3 is less than backoff_s=9"),
        ("- {name: a, method: '_wf_methods:NUMBER'}", "is no function but int 3"),
        ("- {name: a, method: '_wf_methods:Cut'}", "is no function but type"),
        ("- {name: a, method: something}", "write module:function"),
        ("[]", "it has no steps"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_workflow_is_said_in_one_sentence(folder, steps, said):
    write(folder, "w.yaml", "id: w\nsteps:\n  " + steps.replace("\n", "\n  ").replace(": M", ": '_wf_methods:read'"))
    found_mistakes = mistakes(folder)
    assert len(found_mistakes) == 1, found_mistakes
    assert said in found_mistakes[0]
    assert found_mistakes[0].startswith("w.yaml:")


@pytest.mark.parametrize("name", ["../up", "a/b", "a\\\\b", ".hidden", "", "a b", "x" * 65, "a.b", "é"])
def test_path_characters_in_an_id_are_refused(folder, name):
    write(folder, "w.yaml", f'id: "{name}"\nsteps:\n  - method: _wf_methods:read\n')
    assert ["an id may have" in one for one in mistakes(folder)] == [True]


def test_a_file_that_takes_the_name_of_another_module_is_named(folder):
    """Aim: a folder's `json.py` must neither replace the standard library's nor be passed over in silence."""
    write(folder, "json.py", "from leasehold import workflow")
    import json

    assert ["the name 'json' is taken by another module" in one for one in mistakes(folder)] == [True]
    assert sys.modules["json"] is json


def test_a_file_of_the_folder_goes_before_one_of_the_working_directory(folder, monkeypatch):
    """Aim: a worker, started with `python -m`, finds the same module as a command does."""
    flows = folder / "flows"
    flows.mkdir()
    write(flows, "wf_near.py", METHODS)
    write(folder, "wf_near.py", "")
    write(flows, "near.yaml", "id: near\nsteps:\n  - method: wf_near:read\n")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend("")
    assert list(found(flows).workflows) == ["near"]
    assert found(flows).mistakes == []


def test_a_parameter_set_is_checked_against_its_workflow(folder):
    write(folder, "report.yaml", FORK)
    write(folder, "small.yaml", "id: small\nworkflow: report\nparameters:\n  left: {width: 5}\n")
    write(folder, "small2.yaml", "id: small\nworkflow: report\nparameters:\n  left: {width: 6}\n")
    write(
        folder,
        "wrong.yaml",
        "id: wrong\nworkflow: report\nparameters:\n  left:\n    width: no\n  lef: {}\n  right: {a: 1}\n",
    )
    write(folder, "lost.yaml", "id: lost\nworkflow: reprot\nparameters: {}\n")
    write(folder, "named.yaml", "id: default\nworkflow: report\nparameters: {}\n")
    assert mistakes(folder) == [
        "lost.yaml:2: parameter set 'lost': there is no workflow 'reprot'; did you mean 'report'?",
        "named.yaml:1: parameter set 'default': 'default' is what the workflow itself says; give this set another id",
        "small2.yaml:1: parameter set 'small' of workflow 'report': it is defined a second time; first in small.yaml:1",
        "wrong.yaml:5: parameter set 'wrong', left.width: expected a whole number, got 'no'",
        "wrong.yaml:6: parameter set 'wrong', lef: there is no step 'lef'; did you mean 'left'?",
        "wrong.yaml:7: parameter set 'wrong', right.a: this step takes no parameters",
    ]
    assert found(folder).overrides("report", "small") == {"left": {"width": 5}}


# -- YAML -------------------------------------------------------------------------------------------------------------


def test_words_stay_words():
    """`on`, `no` and dates are what YAML 1.1 makes of them nowhere here."""
    parsed = yaml_text.parse("on: [no, yes, 2026-01-02, 0x10, 1_000, 1e3, .5, 12, -3, true, ~, '7', 08, 1:30]")
    assert parsed.mistakes == []
    assert parsed.value == {
        "on": ["no", "yes", "2026-01-02", "0x10", "1_000", 1000.0, 0.5, 12, -3, True, None, "7", 8, "1:30"]
    }


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", 4, "the key 'c' stands here a second time; first in line 3"),
        ("a: !!python/object/apply:os.system [ls]", 1, "tags that begin with !"),
        ("a: !custom x", 1, "put a text into quotes"),
        ("? [a, b]\n: 1", 1, "a key must be a word"),
        ("a: 1\n b: 2", 2, "this is no YAML"),
        ("a: 1\n---\nb: 2", 2, "this is no YAML"),
        ("a: &x [*x]", 1, "unfolds to more"),
        ("a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
         "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e]", 1, "unfolds"),
        ("[" * 2000, 1, ""),
        ("a: \x07", 1, "this is no YAML"),
    ],
)  # fmt: skip
def test_what_surprises_is_refused_with_its_line(text, line, said):
    parsed = yaml_text.parse(text)
    assert parsed.mistakes, text
    assert said in parsed.mistakes[0][1]
    assert parsed.mistakes[0][0] in (line, 0) or said == "this is no YAML"


def test_without_the_extra_every_yaml_file_says_how_to_install_it(folder, monkeypatch):
    write(folder, "report.yaml", FORK)
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert mistakes(folder) == ["report.yaml: YAML cannot be read here; install it with: pip install 'leasehold[yaml]'"]


# -- values -----------------------------------------------------------------------------------------------------------


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    depth: int = 1


@dataclass(frozen=True)
class Everything:
    number: int
    share: float = 0.5
    text: str = "x"
    sure: bool = False
    colour: Colour = Colour.RED
    mode: Literal["fast", "good"] = "fast"
    words: tuple[str, ...] = ()
    limits: dict[str, int] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)
    maybe: int | None = None
    anything: Any = None

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError(f"number={self.number} must be 0 or more")


def test_values_are_built_and_go_back_to_plain_json():
    given = {"number": 3, "share": 2, "colour": "blue", "words": ["a", "b"], "limits": {"x": 1}, "inner": {"depth": 4}}
    made, wrong = values.build(Everything, given)
    assert wrong == []
    assert (made.share, made.colour, made.words, made.inner) == (2.0, Colour.BLUE, ("a", "b"), Inner(4))
    again, _ = values.build(Everything, values.plain(made))
    assert again == made
    assert values.plain(made)["text"] == "x"


@pytest.mark.parametrize(
    ("given", "where", "said"),
    [
        ({"number": True}, ("number",), "expected a whole number, got True"),
        ({"number": "3"}, ("number",), "expected a whole number, got '3'"),
        ({"number": 1, "share": float("nan")}, ("share",), "expected a number"),
        ({"number": 1, "sure": 1}, ("sure",), "expected true or false, got 1"),
        ({"number": 1, "colour": "green"}, ("colour",), "expected one of 'red', 'blue', got 'green'"),
        ({"number": 1, "mode": "bad"}, ("mode",), "expected one of 'fast', 'good'"),
        ({"number": 1, "words": "ab"}, ("words",), "expected a list of a text"),
        ({"number": 1, "words": ["a", 2]}, ("words", "1"), "expected a text, got 2"),
        ({"number": 1, "limits": {"x": "y"}}, ("limits", "x"), "expected a whole number"),
        ({"number": 1, "inner": {"dept": 1}}, ("inner", "dept"), "did you mean 'depth'?"),
        ({"number": 1, "maybe": "x"}, ("maybe",), "expected a whole number or null"),
        ({"number": -1}, (), "number=-1 must be 0 or more"),
        ({}, (), "the parameter 'number' is missing: a whole number"),
    ],
)
def test_a_value_that_does_not_fit_says_what_was_expected(given, where, said):
    made, wrong = values.build(Everything, given)
    assert made is None
    assert [one for one, _ in wrong] == [where]
    assert said in wrong[0][1]


def test_parameters_must_be_a_frozen_dataclass_of_plain_types():
    @dataclass
    class Loose:
        a: int = 1

    @dataclass(frozen=True)
    class Odd:
        a: complex = 1j

    assert "declare them with @dataclass(frozen=True)" in (values.unusable(Loose) or "")
    assert "a parameter cannot be a complex" in (values.unusable(Odd) or "")
    assert values.unusable(Everything) is None


def test_a_function_that_no_other_process_could_import_cannot_be_a_step():
    with pytest.raises(UsageError, match="other processes could not import it"):
        step(timeout_s=1)(lambda context: None)

    def inner(context: Any) -> None: ...

    with pytest.raises(UsageError, match="other processes could not import it"):

        @workflow("w")
        def lay_out(flow: Flow) -> None:
            flow.step(inner, timeout_s=1)


# -- parameter sets ---------------------------------------------------------------------------------------------------


def configs(folder: Path, overrides: dict[str, dict[str, Any]] | None = None) -> dict[str, bytes]:
    return {one.step: one.config for one in parameter_sets.of(found(folder).workflow("line"), overrides).configs}


LINE = """
id: line
steps:
  - {name: a, method: "_wf_methods:cut"}
  - {name: b, method: "_wf_methods:cut"}
  - {name: c, method: "_wf_methods:cut"}
"""


def test_sets_that_are_equal_up_to_a_step_share_the_configurations_up_to_there_and_none_after(folder):
    write(folder, "line.yaml", LINE)
    plain, other = configs(folder), configs(folder, {"b": {"width": 5}})
    assert plain["a"] == other["a"]
    assert plain["b"] != other["b"]
    assert plain["c"] != other["c"]
    assert len({*plain.values(), *other.values()}) == 5


def test_neither_the_order_of_keys_nor_the_form_of_the_file_matters(folder):
    write(folder, "line.yaml", LINE)
    write(folder, "one.yaml", "id: one\nworkflow: line\nparameters:\n  b: {width: 5, label: y}\n  a: {width: 20}\n")
    write(
        folder, "two.yaml", "parameters:\n    b:\n        'label': \"y\"\n        width:   5\nworkflow: line\nid: two\n"
    )
    catalog = found(folder)
    assert catalog.mistakes == []
    line = catalog.workflow("line")
    one = parameter_sets.of(line, catalog.overrides("line", "one"))
    two = parameter_sets.of(line, catalog.overrides("line", "two"))
    assert one.digest == two.digest
    assert one == two


def test_parameters_on_the_command_line_are_read_by_their_type(folder):
    write(folder, "line.yaml", LINE)
    line = found(folder).workflow("line")
    sets = parameter_sets.parse_sets(line, ["a.width=7", "b.label=12"])
    assert parameter_sets.of(line, sets).parameters["a"]["width"] == 7
    assert parameter_sets.of(line, sets).parameters["b"]["label"] == "12"
    with pytest.raises(UsageError, match=r"a.width: expected a whole number, got 'wide'"):
        parameter_sets.of(line, parameter_sets.parse_sets(line, ["a.width=wide"]))
    with pytest.raises(UsageError, match="no step 'd'"):
        parameter_sets.parse_sets(line, ["d.width=1"])
    with pytest.raises(UsageError, match="sets nothing"):
        parameter_sets.parse_sets(line, ["width=1"])

"""Task 1.4: the command line answers on stdout, complains on stderr, and says by its exit code how it went."""

import pytest
from support.child import run_program
from support.cli import Cli
from support.contract import Case, cases
from support.target import Target


@pytest.mark.blackbox
@pytest.mark.parametrize("case", cases(stage=1))
def test_contract(cli: Cli, case: Case) -> None:
    """Each case of stages/contract.toml holds: its `check` says what is true when it does."""
    case.run(cli)


@pytest.mark.task("1.4")
@pytest.mark.blackbox
def test_cli_help_names_the_commands(cli: Cli) -> None:
    """`kvs --help` names every command of the stage and succeeds."""
    stdout = cli("--help").expect(stderr=b"").stdout
    assert all(name in stdout for name in (b"get", b"set", b"rm", b"repl"))


@pytest.mark.task("1.4")
@pytest.mark.blackbox
def test_cli_missing_word_is_named(cli: Cli) -> None:
    """Whoever forgets the value is told which word is missing."""
    outcome = cli("set", "key")
    outcome.expect_usage()
    assert b"value" in outcome.stderr.lower()


@pytest.mark.task("1.4")
def test_import_leaves_the_command_line_alone(target: Target) -> None:
    """A program that imports the store does not pay for the command line: no typer, no rich."""
    program = "import kvs, sys; print(sorted({'typer', 'rich', 'click'} & set(sys.modules)))"
    assert run_program(target, program) == ["[]"]

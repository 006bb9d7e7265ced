"""Help texts: what the lists of commands show is a whole sentence."""

import click
import pytest

from clearair.apps.cli.program import cli


def commands(group: click.Group, *above: str) -> list[tuple[tuple[str, ...], click.Command]]:
    """Return every command below a group with the words that call it."""
    found = []
    for name, command in group.commands.items():
        found.append(((*above, name), command))
        if isinstance(command, click.Group):
            found += commands(command, *above, name)
    return found


EVERY = commands(cli)
NAMES = [" ".join(words) for words, _ in EVERY]


@pytest.mark.parametrize(("words", "command"), EVERY, ids=NAMES)
def test_the_first_sentence_of_a_help_text_fits_on_its_line(words, command):
    lines = (command.help or "").splitlines()
    assert lines[0].endswith(".")
    assert command.get_short_help_str(limit=60) == lines[0]


@pytest.mark.parametrize(("words", "command"), EVERY, ids=NAMES)
def test_every_option_says_what_it_does(words, command):
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    assert [each.name for each in options if not (each.help or "").endswith((".", "]"))] == []

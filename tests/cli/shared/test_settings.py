from dataclasses import dataclass, fields

import click
import pytest
from click.testing import CliRunner

from mien.cli.shared.groups import SectionCommand
from mien.cli.shared.settings import field_texts, with_settings
from mien.methods.registry import methods


@dataclass(frozen=True)
class Common:
    """How long to train: a sketch.

    epochs: passes over the data,
    each face once.
    """

    epochs: int = 3


@dataclass(frozen=True)
class Own(Common):
    """Settings of a sketch.

    width: channels, see `Common`.
    """

    width: int = 8
    epochs: int = 5


@with_settings({"small": Own()}, Own())
@click.command(cls=SectionCommand)
def sketch(**settings: object) -> None:
    click.echo(settings)


def test_the_help_of_a_flag_is_the_line_of_its_field():
    assert field_texts(Own) == {
        "width": ("Settings of a sketch", "Channels, see `Common`."),
        "epochs": ("How long to train", "Passes over the data, each face once."),
    }


def test_help_lists_each_field_under_the_class_that_documents_it():
    lines = [line.strip() for line in CliRunner().invoke(sketch, ["--help"]).output.splitlines()]
    order = ["Options:", "Settings of a sketch:", "How long to train:"]
    assert [line for line in lines if line in order] == order
    assert any(line.startswith("--epochs INTEGER  Passes over the data, each face once.") for line in lines)
    assert "[default: 5]" in " ".join(lines)


@pytest.mark.parametrize("name", [method.name for method in methods()])
def test_every_setting_of_every_method_is_documented(name):
    settings = next(method for method in methods() if method.name == name).settings
    assert [field.name for field in fields(settings) if field.name not in field_texts(settings)] == []

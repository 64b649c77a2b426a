"""Groups of commands that suggest a correction, and --help in sections."""

from typing import Any

import click

from mien.text import did_you_mean


class Group(click.Group):
    """A group that suggests the nearest subcommand for a misspelt one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve as click does; an error about an unknown command suggests the nearest one."""
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-"):
            raise click.UsageError(f"No such command {args[0]!r}{did_you_mean(args[0], names)}", ctx)
        return super().resolve_command(ctx, args)


class SectionOption(click.Option):
    """An option that --help lists under a heading of its own."""

    def __init__(self, *args: Any, section: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self.section = section


class SectionCommand(click.Command):
    """A command whose --help lists each SectionOption under its heading, after the other options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list of options for each heading."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for option in self.get_params(ctx):
            line = option.get_help_record(ctx)
            if line is not None:
                sections.setdefault(getattr(option, "section", "Options"), []).append(line)
        for heading in sorted(sections, key="Options".__ne__):
            with formatter.section(heading):
                formatter.write_dl(sections[heading])

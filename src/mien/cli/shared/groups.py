"""Groups of commands that suggest what was meant."""

import click

from mien.text import did_you_mean


class Group(click.Group):
    """A group that suggests the subcommand that was meant for a misspelt one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As of any group; the error for a command that there is not says which was meant."""
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-"):
            raise click.UsageError(f"No such command {args[0]!r}{did_you_mean(args[0], names)}", ctx)
        return super().resolve_command(ctx, args)

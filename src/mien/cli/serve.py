"""`mien serve`: reports over HTTP, and a web page."""

from pathlib import Path

import click

from mien.cli.shared.options import detecting, with_model
from mien.cli.shared.terminal import usage_errors
from mien.extras import optional


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for every network.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 is any free one.")
@click.option("--openai", is_flag=True, help="Also answer /v1/chat/completions and /v1/models, as OpenAI's servers do.")
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Host name that clients may use, besides those of this machine and --host; * allows any.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Origin of other web pages that may send requests: https://example.com. None by default.",
)
@click.option(
    "--token", envvar="MIEN_TOKEN", metavar="TEXT", help="Token that clients must send; better set as MIEN_TOKEN."
)
@with_model
@click.option(
    "--clips",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Also accept clips at /v1/clips; results stay in FOLDER for a day.",
)
@detecting
@click.option("--threads", default=1, show_default=True, help="Threads of each model.")
def serve(
    host: str,
    port: int,
    openai: bool,
    hosts: tuple[str, ...],
    origins: tuple[str, ...],
    token: str | None,
    clips: Path | None,
    model: str,
    threshold: float,
    max_side: int,
    threads: int,
) -> None:
    """Read pictures over HTTP. / is a web page; POST /v1/analyze returns JSON, /v1/report a page, /v1/explain a text.

    Pictures and camera frames are neither stored nor sent on. Without --token, anyone who can reach the server can use
    it: keep it on this machine, or put a server with encryption and a password in front of it.
    """
    for module in ("fastapi", "multipart", "uvicorn", "websockets"):
        optional(module, "serve")
    from mien.core.pipeline import Pipeline
    from mien.serve.app import create_app
    from mien.serve.door import LOOPBACK
    from mien.serve.limits import ServerLimits
    from mien.serve.server import listen, run

    if token == "":
        raise click.UsageError("the token is empty; leave it out, or give one")
    with usage_errors():
        pipeline = Pipeline(model=model, threshold=threshold, max_side=max_side, threads=threads)
    try:
        listening = listen(host, port)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}, port {port}: {error.strerror or error}") from error
    limits = ServerLimits()
    with listening:
        port = listening.getsockname()[1]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        click.echo(f"mien: open {address}/" + (f", or use {address}/v1 as base URL" if openai else ""), err=True)
        with usage_errors():
            app = create_app(
                pipeline,
                openai=openai,
                limits=limits,
                hosts=(*LOOPBACK, host, *hosts),
                origins=origins,
                token=token,
                clips=clips,
            )
        run(app, listening, limits)

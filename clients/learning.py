"""`pixelis feedback`."""

from __future__ import annotations

from typing import Annotated

import typer

from clients.commands import Json, ProtocolOption, Url, connect
from pixelis.schema import Judgement, KnnResult

app = typer.Typer()

EXAMPLES = """Examples:

pixelis ask label.png "What is written on the red label?" --option read_only=false --json

pixelis feedback 3f0c2b --correct

pixelis feedback 3f0c2b --answer "EXIT 12"

pixelis feedback 3f0c2b --wrong --json
"""


@app.command("feedback", epilog=EXAMPLES)
def feedback(
    request_id: Annotated[str, typer.Argument(help="`request_id` of an answer asked with read_only=false.")],
    correct: Annotated[bool, typer.Option("--correct", help="The answer was right.")] = False,
    wrong: Annotated[bool, typer.Option("--wrong", help="The answer was wrong.")] = False,
    answer: Annotated[str | None, typer.Option(help="The right answer.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose request it was, where it was asked with the option tenant.")] = "",
    as_json: Json = False,
    url: Url = None,
    protocol: ProtocolOption = "grpc",
) -> None:
    """Say whether an answer was right, or what the right one is; the next time it is known.

    The last feedback on a request counts. Only the newest requests with read_only=false are remembered.
    """
    if correct + wrong + (answer is not None) != 1:
        raise typer.BadParameter("say one of them", param_hint="--correct, --wrong, --answer")
    with connect(url, protocol) as client:
        found = client.feedback(
            request_id, correct=None if answer is not None else correct, answer=answer, tenant=tenant
        )
    if as_json:
        typer.echo(found.model_dump_json(exclude_none=True))
    elif found.judgement is not None:
        for line in lines(found.judgement, found):
            typer.echo(line)


def lines(judged: Judgement, found: KnnResult) -> list[str]:
    """What came of it, for a terminal."""
    said = [f"{judged.question}  {judged.answer!r} was {'right' if judged.correct else 'wrong'}"]
    if judged.right_answer is not None and not judged.correct:
        said.append(f"right: {judged.right_answer!r}")
    if judged.experience_id is not None:
        said.append(f"experience {judged.experience_id}")
    said += [f"counted a success for {experience_id}" for experience_id in judged.credited]
    said += [f"replaced {experience_id}" for experience_id in judged.replaced]
    if found.stats.get("cold"):
        said.append(f"{found.count} experiences are too few to be asked yet: see `pixelis experience stats`")
    return said

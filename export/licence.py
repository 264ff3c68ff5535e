"""What the command line says of the weights' licence. It needs no torch."""

from argparse import ArgumentParser, Namespace

from separation.arguments import uri
from separation.models.bag import NOT_STATED, Licence


def add_arguments(parser: ArgumentParser) -> None:
    """What bag.json says of the weights; without these options, what is known here."""
    group = parser.add_argument_group(
        "licence", "recorded in bag.json (default: what is known of official checkpoints, else not stated)"
    )
    group.add_argument("--licence", metavar="TEXT", help="what the author of the weights says: MIT")
    group.add_argument("--licence-terms", metavar="TEXT", help="terms of their use")
    group.add_argument("--licence-url", type=uri, metavar="URL", help="where it is said")


def from_arguments(args: Namespace) -> Licence | None:
    """What --licence and the two options with it say; None without any, and where there are none."""
    said = [getattr(args, name, None) for name in ("licence", "licence_terms", "licence_url")]
    return Licence(said[0] or NOT_STATED, said[1] or "", said[2] or "") if any(said) else None

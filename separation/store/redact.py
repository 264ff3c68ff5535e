"""What is shown of names and errors: on one line, without credentials, without what steers a terminal.

Every name of a catalogue is an enemy's until it has been through `shown`.
"""

import re
import unicodedata

JOINERS = "\u200c\u200d"  # part of how some scripts and emoji are written
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # Unicode's categories of what has no shape of its own

# user:password@ of a URL, and the query of a web address, which may be a signature.
_USER = re.compile(r"""(?<![\w+.-])([A-Za-z][\w+.-]*://)[^\s/?#]*@""")
_QUERY = re.compile(r"""(https?://[^\s?#"'<>]*)\?[^\s"'<>]*""", re.IGNORECASE)
_WHOLE_QUERY = re.compile(r"^(https?://[^?]*)\?.*$", re.IGNORECASE | re.DOTALL)


def shown(text: str) -> str:
    """A URI, a name or a sentence that may hold either, as it may be logged."""
    return plain(without_credentials(text))


def without_credentials(text: str) -> str:
    """`text` without the users, passwords and signed queries of the addresses in it.

    A query ends where a sentence goes on; that of a whole URI is all of its rest, spaces too.
    """
    return _QUERY.sub(r"\1", _USER.sub(r"\1", _WHOLE_QUERY.sub(r"\1", text)))


def plain(text: str) -> str:
    """`text` on one line without what steers a terminal or the direction of writing.

    Such characters stand as their escapes: `a\\nb`, `\\u202e`.
    """
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in UNSEEN and character not in JOINERS
        else character
        for character in text
    )

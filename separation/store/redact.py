"""URIs, names and errors as they may be printed or logged: on one line, without credentials or control codes.

Track names are untrusted: pass them through `shown` before printing.
"""

import re
import unicodedata

JOINERS = "\u200c\u200d"  # part of how some scripts and emoji are written
INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # Unicode's categories of characters without a glyph

# user:password@ of a URL, and the query of a web address, which may be a signature.
_USER = re.compile(r"""(?<![\w+.-])([A-Za-z][\w+.-]*://)[^\s/?#]*@""")
_QUERY = re.compile(r"""(https?://[^\s?]*)\?\S*?(?=['")\],.;:>]*(?:\s|$))""", re.IGNORECASE)
_WHOLE_QUERY = re.compile(r"^((?:[^?]*::)?https?://[^?]*)\?.*$", re.IGNORECASE | re.DOTALL)


def shown(text: str) -> str:
    """A URI, a name or a sentence with either in it, safe to print: `without_credentials`, then `plain`."""
    return plain(without_credentials(text))


def without_credentials(text: str) -> str:
    """`text` without the users, passwords and signed queries of the URLs in it.

    In a sentence, a query ends at a space; if all of `text` is one URL, or some chained by `::`, at its end.
    """
    return _QUERY.sub(r"\1", _USER.sub(r"\1", _WHOLE_QUERY.sub(r"\1", text)))


def plain(text: str) -> str:
    """`text` on one line, with escapes for characters that control a terminal or the direction of writing.

    As in `a\\nb` and `\\u202e`.
    """
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in INVISIBLE and character not in JOINERS
        else character
        for character in text
    )


def with_lower_scheme(uri: str) -> str:
    """`S3://Bucket/Key` as `s3://Bucket/Key`: a scheme has no case, what follows it does."""
    scheme, found, rest = uri.partition("://")
    return f"{scheme.lower()}://{rest}" if found else uri


def host_of(uri: str) -> str:
    """What answers for a URI, as it may be shown: `https://host:port`, `s3://bucket`, or `file://`."""
    scheme, found, rest = with_lower_scheme(uri).partition("://")
    if not found or scheme in ("file", "local"):
        return "file://"
    return shown(f"{scheme}://{re.split('[/?#]', rest)[0]}")

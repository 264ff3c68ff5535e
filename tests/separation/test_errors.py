import pickle

import pytest

from separation import errors
from separation.errors import ErrorKind

EXAMPLES = [
    errors.TrackError("s3://b/a.mp3", ErrorKind.CORRUPT, "why"),
    errors.ModelError("models/bag.json", "why"),
    errors.StorageError("s3://b/x", "why"),
    errors.WrongProvider("bass", "CUDA", "CPU"),
    errors.DeviceError("why"),
    errors.PlanError("why"),
    errors.UsageError("why"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_survives_the_way_to_the_driver(error: errors.SeparationError) -> None:
    there = pickle.loads(pickle.dumps(error))
    assert type(there) is type(error)
    assert str(there) == str(error)
    assert vars(there) == vars(error)


HOSTILE = "at https://me:hush@host/it's?sig=hush \x1b[31m\x9b\nred"
SHOWN = "at https://host/it's \\x1b[31m\\x9b\\nred"


@pytest.mark.parametrize(
    "error",
    [
        errors.TrackError("a", ErrorKind.CORRUPT, HOSTILE),
        errors.ModelError("a", HOSTILE),
        errors.StorageError("a", HOSTILE),
        errors.PlanError(HOSTILE),
        errors.UsageError(HOSTILE),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_text_of_an_error_can_be_logged(error: errors.SeparationError) -> None:
    assert str(error).endswith(SHOWN)
    assert str(errors.UsageError("two", "words")) == "('two', 'words')"

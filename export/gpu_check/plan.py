"""The steps of the check, in order."""

from collections.abc import Mapping
from dataclasses import dataclass, field

PRECISIONS = ("fp32", "fp16")
BATCHES = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Step:
    """A function of `steps` or `load` with its arguments, in a process of its own.

    required     whether the check fails if it does not hold
    gpu          whether it needs a GPU
    limit_s      after which its processes are killed
    environment  of its process, beside this one's
    """

    function: str
    arguments: tuple[str, ...] = ()
    required: bool = False
    gpu: bool = True
    limit_s: float = 60
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return " ".join([self.function, *self.arguments])


STEPS = (
    Step("versions", required=True, gpu=False),
    Step("export", required=True, gpu=False, limit_s=300),
    Step("missing_device", required=True, gpu=False, environment={"CUDA_VISIBLE_DEVICES": "-1"}),
    Step("missing_cudnn", required=True),
    *(Step("placement", (precision,), required=True) for precision in PRECISIONS),
    *(Step("parity", (precision,), required=True) for precision in PRECISIONS),
    *(Step("bits", (precision,), required=True) for precision in PRECISIONS),
    Step("tf32", ("fp32", "use_tf32=0", "unprepared")),
    Step("tf32", ("fp32", "use_tf32=1", "unprepared")),
    Step("tf32", ("fp32", "use_tf32=1", "prepared")),
    Step("tf32", ("fp16", "use_tf32=0", "prepared")),
    Step("tf32", ("fp16", "use_tf32=1", "unprepared")),
    *(Step("speed", (precision, str(batch))) for precision in PRECISIONS for batch in BATCHES),
    *(Step("settings", (precision,)) for precision in PRECISIONS),
    Step("changed_batch", ("fp32",)),
    *(Step("actors", (precision, how)) for precision in PRECISIONS for how in ("prepared", "unprepared")),
    *(Step("benchmark", (form,), limit_s=150) for form in ("wav", "mp3")),
)

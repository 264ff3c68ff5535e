"""Songs with their stems in the folders of MUSDB18-HQ: <split>/<song>/{mixture,drums,...}.wav."""

from pathlib import Path

from band.rate import RATE_HZ
from band.song import song, split
from separation.audio.encoding import Encoding, write_audio


def write_split(
    folder: Path, name: str, tracks: int, seconds: tuple[float, float], first: int = 0
) -> list[Path]:
    """Writes songs `first` to `first + tracks` of split `name`; the songs' folders.

    Lengths lie between the two `seconds`. Float32, so that the stems still add up to the mixture: at 16 bits,
    as in MUSDB18-HQ, a stem louder than its mix would clip.
    """
    written = []
    for seed in split(name)[first : first + tracks]:
        path = folder / name / f"Band - Song {seed}"
        path.mkdir(parents=True, exist_ok=True)
        shortest, longest = seconds
        sounds = song(seed, shortest + (longest - shortest) * (seed % 97) / 96)
        sounds["mixture"] = sounds.pop("mix")
        for file, sound in sounds.items():
            write_audio(path / f"{file}.wav", [sound], sound.shape[1], Encoding("wav", "float"), RATE_HZ)
        written.append(path)
    return written

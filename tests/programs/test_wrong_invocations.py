"""What is wrong with a command line is told in one sentence, with the right exit code, before Ray starts."""

import importlib
import shlex
from dataclasses import dataclass

import pytest
import ray

SECRET = "hush-4711"
SEPARATION = "@song --models @models --out @out"
SEPARATE = "--input @songs --output @out --models @models"
BENCHMARK = "--output @out --models @models"
EVALUATE = "--reference @songs --estimates @other"

# program -> command lines, each with words that its error has; `@name` is a path of the fixture `things`.
WRONG = {
    "separation": [
        (f"{SEPARATION} --stemz bass", "--stemz"),
        ("@song --modells @models --out @out", "--modells"),
        ("@song --models @missing --out @out", "missing/bag.json: not found"),
        ("@song --models @file --out @out", "file/bag.json"),
        ("@song --models @damaged --out @out", "bass.onnx: sha256"),
        ("@song --models @models --out @file", "file cannot be a folder"),
        ("@song --models @models --out @file/below", "@file is a file"),
        ("@song @empty --models @models --out @out", "empty: no tracks"),
        (f"{SEPARATION} --stems piano", "piano"),
        (f"{SEPARATION} --stems bass --two-stems bass", "--two-stems"),
        (f"{SEPARATION} --int24 --format mp3", "--int24"),
        (f"{SEPARATION} --filename '{{stem'", "the placeholders are {track_id}"),
        (f"{SEPARATION} --filename '{{track_id}}/{{stm}}'", "no value for {stm}"),
        (f"{SEPARATION} --filename '{{track_id}}/{{stem:d}}'", "'d'"),
        (f"{SEPARATION} --filename '{{track_id}}/{{stem:{{colour}}}}'", "colour"),
        (f"{SEPARATION} --overlap 1.5", "overlap"),
        (f"{SEPARATION} --threads 0", "--threads"),
        (f"{SEPARATION} --shifts many", "'many'"),
        (f"{SEPARATION} --max-hours inf", "--max-hours"),
        (f"https://me:{SECRET}@host/a.wav --models @models --out @out", "TRACK"),
        (f'"https://host/it\'s #1.wav?sig={SECRET}" --models @models --out @out', "TRACK"),
        (f"simplecache::https://host/a.wav?sig={SECRET} --models @models --out @out", "TRACK"),
        (f"@song --models https://host/models?sig={SECRET} --out @out", "--models"),
        (f"@song --models @models --out s3://key:{SECRET}@bucket/out", "--out"),
        (f"{SEPARATION} --outt=s3://key:{SECRET}@bucket/out", "s3://bucket/out"),
    ],
    "jobs.separate": [
        (f"{SEPARATE} --max-actrs 2", "--max-actrs"),
        ("--input @missing.csv --output @out --models @models", "missing.csv"),
        ("--input @missing --output @out --models @models", "no tracks"),
        ("--input @folder.csv --output @out --models @models", "folder.csv"),
        ("--input @songs --output @out --models @missing", "missing/bag.json: not found"),
        ("--input @songs --output @file --models @models", "file cannot be a folder"),
        (
            "--input @catalogue.jsonl --output @used --models @models",
            "holds stems of other settings: model of",
        ),
        (f"{SEPARATE} --retry-errors --force", "--retry-errors"),
        (f"{SEPARATE} --node-gpus 2", "--nodes"),
        (f"{SEPARATE} --stems piano", "piano"),
        (f"{SEPARATE} --filename '{{stem'", "the placeholders are"),
        (f"{SEPARATE} --verify-writes 1.5", "--verify-writes"),
        (f"{SEPARATE} --batch 0", "--batch"),
        (f"--input s3://key:{SECRET}@bucket/in --output @out --models @models", "--input"),
    ],
    "jobs.benchmark": [
        (f"{BENCHMARK} --repeat-s 2", "--repeat-s"),
        ("--output @out", "a benchmark needs --models (what to run) and --output"),
        ("--output @out --models @missing", "missing/bag.json: not found"),
        ("--output @file --models @models", "file cannot be a folder"),
        (f"{BENCHMARK} --input @missing", "no tracks"),
        (f"{BENCHMARK} --codecs xyz", "xyz"),
        (f"{BENCHMARK} --compare demucs", "--bag"),
        (f"{BENCHMARK} --project 10x", "10x"),
        (f"{BENCHMARK} --seconds 40-15", "'40-15'"),
        ("--project 10 --x-realtime mars=40", "'mars'"),
        ("--project 10", "--x-realtime"),
        (f"--output https://host/out?sig={SECRET} --models @models", "--output"),
    ],
    "jobs.evaluate": [
        (f"{EVALUATE} --base-line", "--base-line"),
        ("--reference @songs --estimates @missing", "missing: no track"),
        ("--reference @file --estimates @other", "no track"),
        (f"{EVALUATE} --stems piano", "piano"),
        (f"{EVALUATE} --output @file", "file cannot be a folder"),
        ("--reference @songs --estimates @used --estimates x/used", "'used'"),
        (f"--reference @songs --estimates one=https://me:{SECRET}@host/out", "--estimates"),
        (f"--reference https://host/true?sig={SECRET} --estimates @other", "--reference"),
    ],
    "jobs.report": [
        ("--output @used --formatt md", "--formatt"),
        ("--output @used --format pdf", "'pdf'"),
        ("--output @file", "file cannot be a folder"),
        ("--output @broken", "broken/run.json"),
        ("--output @missing", "missing is no output: it has neither run.json nor tables"),
        ("--output @songs", "songs is no output"),
        ("--output @used --to @empty", "empty"),
        ("--output @used --to @file/page.html", "file cannot be a folder"),
        ("--output @used --price -1", "--price"),
        ("--output @used --format md --interactive", "--interactive needs --format html"),
        (f"--output s3://key:{SECRET}@bucket/out", "--output"),
    ],
    "jobs.verify": [
        ("--output @used --swep", "--swep"),
        ("--output @missing", "no run.json"),
        ("--output @file", "file has no run.json"),
        ("--output @broken", "broken/run.json"),
        ("--output @used --input @missing.csv", "missing.csv"),
        ("--output @used --input @folder.csv", "folder.csv"),
        ("--output @used --sample 1.5", "--sample"),
        ("--output @used --older-than soon", "'soon'"),
        (f"--output https://me:{SECRET}@host/out", "--output"),
    ],
    "export": [
        ("random --out @out --precison int8", "--precison"),
        ("random", "--out"),
        ("bag missing_bag --out @out", "missing_bag: neither a folder nor a bag"),
        ("@empty --out @out", "expected one <name>.yaml"),
        ("htdemucs_ft --repo @missing --out @out", "missing: not a folder"),
        ("random --out @file", "file cannot be a folder"),
        ("random --out @out --precision fp8", "'fp8'"),
        ("htdemucs_ft --hot --out @out", "--hot"),
        ("verify @missing", "missing/bag.json: not found"),
        ("verify @models", "origin in bag.json"),
        ("verify @models --batches 4 0", "--batches"),
        ("bench --rounds none", "'none'"),
    ],
    "export.training": [
        ("--out @out --step 1 --fine-step 1 --coarse 1", "--coarse"),
        ("--out @file", "file cannot be a folder"),
        ("--out @out --stems piano", "'piano'"),
        ("--out @out --songs 0", "--songs"),
        ("--out @out --seconds later", "'later'"),
    ],
    "band": [
        ("--out @out --track-s 1", "--track-s"),
        ("--out @file", "file cannot be a folder"),
        ("--out @out --musdb valid", "'valid'"),
        ("--out @out --musdb test --broken", "--broken"),
        ("--out @out --tracks 0", "--tracks"),
        ("--out @out --seconds 40-15", "'40-15'"),
        ("--out @out --seed -1", "--seed"),
    ],
}
# A track that is wrong is an error of that track: the program runs to its end.
WRONG_TRACKS = [
    ("@missing.wav --models @models --out @out", "missing.wav: missing"),
    ("@file --models @models --out @out", "file: not_audio"),
    ("'@missing\x1b[31m.wav' --models @models --out @out", "missing\\x1b[31m.wav"),
]


@dataclass(frozen=True)
class Wrong:
    program: str
    line: str
    words: str
    code: int


CASES = [Wrong(program, *case, 2) for program, cases in WRONG.items() for case in cases]
CASES += [Wrong("separation", *case, 1) for case in WRONG_TRACKS]


def arguments(line: str, things: dict[str, str]) -> list[str]:
    for name in sorted(things, key=len, reverse=True):
        line = line.replace(f"@{name}", things[name])
    return shlex.split(line)


@pytest.mark.parametrize("wrong", CASES, ids=lambda wrong: f"{wrong.program} {wrong.line}")
def test_one_sentence(
    wrong: Wrong, things: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(ray, "init", started)
    main = importlib.import_module(f"{wrong.program}.__main__").main
    code = main(arguments(wrong.line, things))
    out, err = capsys.readouterr()
    assert code == wrong.code, out + err
    assert err.startswith("error: ") and err.count("\n") == 1 and err.endswith("\n"), err
    words = wrong.words.replace("@file", things["file"])
    assert words in err
    said = [line for line in out.splitlines() if not line.startswith(("reading ", "catalogue: "))]
    assert said == []  # but for the phases of a job
    assert SECRET not in err and "\x1b" not in err


def test_every_program_is_given_at_least_five_of_them() -> None:
    assert all(len(cases) >= 5 for cases in WRONG.values())
    assert len(CASES) > 40

"""Coverage-guided fuzzing of one codec or of all: ``python -m tests.fuzz.run [NAME] --seconds 5``.

Needs the optional group: ``pip install 'linli[fuzz]'``. libFuzzer ends its process, so each target has its own.
Exit code 0 when no promise was broken; the input that broke one is written beside as crash-….
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path


def _fuzz(name: str, seconds: int) -> None:
    """Never returns: libFuzzer exits."""
    import atheris

    # Only the codecs are instrumented, as they are imported: the whole interpreter would take half a minute.
    with atheris.instrument_imports(include=["device_drivers"]):
        from tests.fuzz.targets import TARGETS
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(TARGETS[name].seeds):
            Path(corpus, str(number)).write_bytes(seed)
        options = [f"-max_total_time={seconds}", "-max_len=2048", "-print_final_stats=1", "-verbosity=0"]
        atheris.Setup([sys.argv[0], *options, corpus], TARGETS[name].check)
        atheris.Fuzz()


def main() -> int:
    """All targets one after the other, or one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", nargs="?")
    parser.add_argument("--seconds", type=int, default=5)
    asked = parser.parse_args()
    if asked.name is not None:
        _fuzz(asked.name, asked.seconds)
    from tests.fuzz.targets import TARGETS

    failed = [
        name
        for name in TARGETS
        if subprocess.run([sys.executable, "-m", "tests.fuzz.run", name, "--seconds", str(asked.seconds)]).returncode
    ]
    print("broken: " + " ".join(failed) if failed else f"all good: {' '.join(TARGETS)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

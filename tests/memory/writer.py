"""Remembers numbered facts until it is killed: `python writer.py FOLDER NAME`; says each id once it is remembered."""

import sys
from itertools import count
from pathlib import Path

from toy_memory import fact, opened, png


def main(folder: str, name: str) -> None:
    with opened(Path(folder)) as memory:
        picture = memory.pictures.put(png("red"))
        for number in count():
            pictures = (picture,) if number % 3 == 0 else ()
            print(
                memory.remember(fact(f"{name} number {number}", id=f"{name}-{number}", pictures=pictures)), flush=True
            )
            if number % 7 == 0:
                memory.recall(f"{name} number {number}")
            if number % 11 == 10:
                print(f"forgets {name}-{number - 5}", flush=True)
                memory.forget(f"{name}-{number - 5}")


if __name__ == "__main__":
    main(*sys.argv[1:])

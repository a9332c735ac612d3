"""Renew the workshop kit in docs/teaching.

python -m tools.teaching                    everything that is made from lessons, exercises and measurements
python -m tools.teaching --measure [NN ...] how long each cell of all lessons takes, or of some: seconds.csv
"""

import sys

from tools.teaching import hints, kit, measure
from tools.teaching.blocks import lessons


def main(arguments: list[str]) -> int:
    """Do what the arguments say; 2 for arguments that say nothing known."""
    if arguments[:1] == ["--measure"]:
        for lesson in lessons():
            if not arguments[1:] or lesson.number in arguments[1:]:
                found = measure.measured(lesson)
                measure.write({lesson.name: found})
                print(lesson.name, f"{sum(found.values()):.0f} s", flush=True)
        return 0
    if arguments:
        print(__doc__)
        return 2
    hints.renew()
    kit.write()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

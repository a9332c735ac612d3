"""How long does one update of each network of lesson 51 take? CPU milliseconds on one thread, 64 sequences.

Against steps, at about 7,400 weights each; then against units, at 91 steps. The value is the median of seven
updates, low and high are the fastest and the slowest. Ratios carry over to other machines, milliseconds do
not.
"""

import time
from contextlib import suppress
from functools import partial

import numpy as np

from benchmarks.quality import _networks as networks
from benchmarks.quality._alone import one_thread
from benchmarks.run import Log, kept, row

LENGTHS, UNITS = (28, 91, 182, 364), (16, 32, 64, 128)
AT = 91  # steps at which the units are varied


def rows(quick: bool, log: Log) -> list[dict]:
    """Quick: the shortest sequences, the smallest layer."""
    with suppress(RuntimeError):  # TensorFlow runs already
        one_thread()
    lengths, units = (LENGTHS[:1], UNITS[:1]) if quick else (LENGTHS, UNITS)
    places = [(kind, "", size, steps) for kind, size in networks.SIZES.items() for steps in lengths]
    places += [(kind, ", equal units", size, AT) for kind in networks.CELLS for size in units]
    jobs = {
        f"{kind}{how}, {n} x {steps}": partial(update_ms, kind, n, steps) for kind, how, n, steps in places
    }
    spreads = kept("speed/cells", jobs, log).values()
    return [
        row(f"{kind}{how}", "CPU ms per update", spread, 1, steps=steps, units=size)
        for (kind, how, size, steps), spread in zip(places, spreads, strict=True)
    ]


def update_ms(kind: str, size: int, steps: int, n: int = 7, batch: int = 64) -> tuple[float, float, float]:
    """Median, smallest and largest CPU time of n updates, after three to warm up."""
    rng = np.random.default_rng(0)
    model = networks.network(kind, 13, size, 5, reach=steps)
    x = rng.normal(size=(batch, steps, 13)).astype(np.float32)
    y = rng.integers(5, size=(batch, steps))
    spent = []
    for _ in range(n + 3):
        start = time.process_time()
        model.train_on_batch(x, y)
        spent.append(1000 * (time.process_time() - start))
    return float(np.median(spent[3:])), min(spent[3:]), max(spent[3:])

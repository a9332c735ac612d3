"""Time to list the best 20 items for every customer: a catalogue of today's size and one ten times as large.

States and item vectors are random: the time of an exact search does not depend on what they hold.
Seconds grow when other programs run beside it; CPU seconds hardly do, but add up over the cores.
Each row runs in a process of its own; memory is the peak of that process, vectors and Python included.
The nearest-neighbour searches are scikit-learn's: the largest dot product is found as the nearest point
after one more coordinate has made all vectors equally long. Its trees were tried too: in 65 dimensions
they visit nearly every point, so they are slower than the plain product.
"""

import time
from functools import partial

from benchmarks.quality._alone import Found, alone
from benchmarks.run import Log, kept, row

N_CUSTOMERS, SIZE, K = 2469, 64, 20
CATALOGUES = (92_331, 923_310)
KINDS = {
    "matrix product and top-k, all customers": N_CUSTOMERS,
    "matrix product and top-k, one customer": 1,
    "nearest neighbours (brute force), all customers": N_CUSTOMERS,
    "nearest neighbours (brute force), one customer": 1,
    "nearest neighbours (ball tree), one customer": 1,
}
PATIENT = "nearest neighbours (brute force), one customer"  # the only such search of the large catalogue


def measure(kind: str, n_items: int) -> Found:
    """Seconds (3 repeats, but for the longest) and CPU seconds of one."""
    import numpy as np

    from ecomlib.lessons.serving import best_items

    rng = np.random.default_rng(0)
    states = rng.normal(size=(KINDS[kind], SIZE)).astype(np.float32)
    vectors = rng.normal(size=(n_items, SIZE)).astype(np.float32)
    if kind.startswith("nearest"):
        from sklearn.neighbors import NearestNeighbors

        square = (vectors**2).sum(axis=1)
        longer = np.column_stack([vectors, np.sqrt(square.max() - square)])
        algorithm = "brute" if "brute" in kind else "ball_tree"
        index = NearestNeighbors(n_neighbors=K, algorithm=algorithm).fit(longer)
        asked = np.column_stack([states, np.zeros(len(states), np.float32)])

        def serve() -> np.ndarray:
            return index.kneighbors(asked, return_distance=False)
    else:

        def serve() -> np.ndarray:
            return best_items(states, vectors, K)

    seconds, begun_all = [], time.process_time()
    for _ in range(3 if n_items < 100_000 or len(states) == 1 else 1):
        begun = time.perf_counter()
        lists = serve()
        seconds.append(time.perf_counter() - begun)
    work = (time.process_time() - begun_all) / len(seconds)
    best = np.sort(np.argsort(-(vectors @ states[0]))[:K])
    assert len(np.intersect1d(lists[0], best)) >= K - 1  # but for ties in the last digit
    return {kind: [{"seconds": sorted(seconds), "CPU seconds": work}]}


def rows(quick: bool, log: Log) -> list[dict]:
    """Median, fastest and slowest of the repeats. Quick: the smaller catalogue."""
    asked = [(kind, n_items) for n_items in CATALOGUES[: 1 if quick else None] for kind in KINDS]
    asked = [(kind, n) for kind, n in asked if n < 100_000 or kind.startswith("matrix") or kind == PATIENT]
    jobs = {f"{kind}, {n}": partial(alone, "numpy", measure, kind, n) for kind, n in asked}
    table = []
    for (kind, n_items), each in zip(asked, kept("speed/serving", jobs, log).values(), strict=True):
        found, name = each[kind][0], kind.split(",")[0]
        found["peak MB"] = 1000 * found["gb"]
        seconds, place = found["seconds"], {"items": n_items, "customers": KINDS[kind]}
        spread = (seconds[len(seconds) // 2], seconds[0], seconds[-1])
        table.append(row(name, "seconds", spread, len(seconds), **place))
        for metric in ("CPU seconds", "peak MB"):
            table.append(row(name, metric, (found[metric],) * 3, len(seconds), **place))
        log(f"{kind:50s} {n_items:8,} items  {spread[0]:8.3f} s  {found['CPU seconds']:8.3f} s of work")
    return table

"""Score a next-item LSTM against session-kNN on click files: python course.py clicks FILE."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from ecomlib import clicks
from ecomlib.own.clicks_reader import open_clicks
from ecomlib.runtime import ROOT
from ecomlib.shop.errors import ShopError
from ecomlib.split import Split


def main(arguments: list[str] | None = None) -> int:
    """Train and score on a click file; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python course.py clicks", description=__doc__)
    parser.add_argument("files", nargs="+", help="click files, or their folder")
    pair: dict[str, Any] = {"metavar": "OURS=HEADER", "nargs": "*", "default": []}
    parser.add_argument("--columns", help="what your headers hold: item=sku", **pair)
    for name, kind, default, text in (
        ("--test-days", int, 7, "the last days are the test"),
        ("--valid-days", int, 7, "settings are chosen on the days before them"),
        ("--min-count", int, 5, "leave out rarer items"),
        ("--epochs", int, 4, "passes over the training clicks"),
        ("--minutes", float, 4.0, "begin no epoch that would end after this"),
        ("--seed", int, 42, "of all that is drawn"),
        ("--out", Path, ROOT / "build" / "results" / "clicks.csv", "where to write the table"),
    ):
        parser.add_argument(name, type=kind, default=default, help=f"{text} (default {default})")
    options = parser.parse_args(arguments)
    try:
        return _train(options)
    except (ShopError, OSError) as error:
        print(f"cannot go on: {error}", file=sys.stderr)
        return 1


def _train(options: argparse.Namespace) -> int:
    begun = last = time.monotonic()

    def stage(text: str) -> None:
        nonlocal last
        last, before = time.monotonic(), last
        print(f"[{last - begun:4.0f} s, this {last - before:.0f} s] {text}", flush=True)

    split = Split.last(test=f"{options.test_days}D", valid=f"{options.valid_days}D")
    events = open_clicks(options.files, dict(text.partition("=")[::2] for text in options.columns))
    without = "".join(f", {n:,} {why} left out" for why, n in events.attrs["left_out"].items())
    stage(f"read {len(events):,} clicks in {events['session'].nunique():,} sessions{without}")
    task = clicks.task(events, split, options.min_count)
    n = {part: f"{len(task.cutoffs(part)):,}" for part in ("train", "valid", "test")}
    stage(
        f"prepared {len(task.names):,} sessions, {task.n_items:,} items, {n['train']} clicks to learn from, "
        f"{n['valid']} to choose settings on, {n['test']} to predict"
    )
    knn = clicks.tune_knn(task)
    stage(f"chose session-kNN with k {knn.k}, decay {knn.decay}; the LSTM trains:")
    mix = clicks.Mix(clicks.NextClick(epochs=options.epochs, seed=options.seed), knn)
    mix.fit(task, callbacks=[_clock(options.minutes)])
    stage(f"trained the LSTM, mixed {mix.weight:g} LSTM and {1 - mix.weight:g} session-kNN")
    known = clicks.until_test(task)
    cutoffs = task.cutoffs("test")
    simple = (clicks.Popularity().fit(known), clicks.Markov(1.0).fit(known))
    lists = {model.name: model.predict(task, cutoffs, block=256) for model in simple}
    table = clicks.evaluate(task, lists | mix.lists(task, cutoffs))
    stage("scored the test sessions, every item a candidate; intervals are over sessions:")
    wide = table.assign(text=table.apply(lambda r: f"{r.value:.4f} [{r.low:.4f}, {r.high:.4f}]", axis=1))
    wide = wide.pivot(index="model", columns="metric", values="text").reindex(table["model"].unique())
    print(wide.rename_axis(index=None, columns=None).to_string())
    print(clicks.advice(table))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out, index=False)
    return 0


def _clock(minutes: float) -> Any:
    """Keras callback: a line per epoch, and no epoch that would end after so many minutes."""
    import keras

    begun = time.monotonic()

    def on_epoch_end(epoch: int, logs: dict) -> None:
        spent = time.monotonic() - begun
        print(f"  epoch {epoch + 1}: loss {logs['loss']:.3f}, {spent:.0f} s", flush=True)
        if epoch + 1 < clock.params["epochs"] and spent * (epoch + 2) / (epoch + 1) > 60 * minutes:
            print(f"  out of time; --epochs {epoch + 1} repeats exactly this", flush=True)
            clock.model.stop_training = True

    clock = keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)
    return clock


if __name__ == "__main__":
    sys.exit(main())

"""Save an answer's model as JSON and arrays, and load it: one folder, no pickle, no code is run from it."""

import json
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from ecomlib.shop import BadValue, UnreadableFile

ROOMS = {f"ecomlib.{c}.{r}" for c in ("sales", "purchases", "recommend") for r in ("baselines", "model")}
ROOMS |= {"ecomlib.joined", "ecomlib.recommend.blend", "ecomlib.own.questions", "ecomlib.own.sales_question"}
ROOMS |= {"sklearn.linear_model._logistic", "sklearn.preprocessing._data"}  # of `purchases.Logistic`
NETWORKS = ("model", "network_")  # the fields that hold a network
PACKAGES = ("keras", "numpy", "lightgbm", "scikit-learn")
TABLES = ("scores", "paired", "table")


def save(answer: Any, folder: str | Path) -> None:
    """Write what `read` reads: answer.json, arrays.npz and the three tables as CSV files."""
    folder = Path(folder)
    arrays: dict[str, Any] = {}
    folder.mkdir(parents=True, exist_ok=True)
    facts = {name: getattr(answer, name) for name in ("advice", "chosen", "notes")}
    facts["model"], facts["question"] = (pack(each, arrays) for each in (answer.model, answer.question))
    facts["versions"] = {name: version(name) for name in PACKAGES}
    for name in TABLES:
        getattr(answer, name).to_csv(folder / f"{name}.csv", index=False)
    np.savez_compressed(folder / "arrays.npz", **arrays)
    (folder / "answer.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def read(folder: str | Path) -> dict[str, Any]:
    """The fields of an answer that `save` wrote."""
    folder = Path(folder)
    if not (folder / "answer.json").exists():
        raise UnreadableFile(f"{folder}: no answer.json is in it; give the folder that Answer.save wrote.")
    facts = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
    for name, saved in facts.pop("versions").items():
        if saved.split(".")[0] != version(name).split(".")[0]:
            raise BadValue(f"{folder}: saved with {name} {saved}, not {version(name)}; ask the shop again.")
    tables = {name: pd.read_csv(folder / f"{name}.csv") for name in TABLES}
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        for name in ("model", "question"):
            facts[name] = unpack(facts[name], arrays)
    return facts | tables


def pack(value: Any, arrays: dict[str, Any]) -> Any:
    """What stands for a value in JSON; its arrays are put into `arrays`."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = value.astype(str) if value.dtype == object else value
        return {"array": name}
    if isinstance(value, pd.Series):
        return {"series": pack(value.to_numpy(), arrays)}
    if sparse.issparse(value):
        csr = value.tocsr()
        parts = [pack(each, arrays) for each in (csr.data, csr.indices, csr.indptr)]
        return {"csr": parts, "shape": list(csr.shape)}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [pack(each, arrays) for each in value]}
    if isinstance(value, dict):
        return {"dict": {key: pack(each, arrays) for key, each in value.items()}}
    if hasattr(value, "booster_") or hasattr(value, "model_to_string"):
        return {"booster": getattr(value, "booster_", value).model_to_string()}
    if hasattr(value, "get_weights"):
        return {"network": [pack(np.asarray(each), arrays) for each in value.get_weights()]}
    kind = type(value)
    if kind.__module__ not in ROOMS:
        raise BadValue(f"{kind.__module__}.{kind.__name__} cannot be saved; no question uses it.")
    fields = {key: each for key, each in vars(value).items() if not key.startswith("history")}
    return {"class": [kind.__module__, kind.__name__], "fields": pack(fields, arrays)}


def unpack(packed: Any, arrays: Any) -> Any:
    """The value that `pack` took apart; a network is a list of its weights until `wake`."""
    if not isinstance(packed, dict):
        return packed
    kind, inner = next(iter(packed.items()))
    if kind == "array":
        return arrays[inner]
    if kind == "series":
        return pd.Series(unpack(inner, arrays))
    if kind == "csr":
        return sparse.csr_matrix(tuple(unpack(each, arrays) for each in inner), shape=packed["shape"])
    if kind == "dict":
        return {key: unpack(each, arrays) for key, each in inner.items()}
    if kind == "booster":
        from lightgbm import Booster

        return Booster(model_str=inner)
    if kind == "class":
        module, name = inner
        if module not in ROOMS:
            raise BadValue(f"answer.json names {module}.{name}, which no question uses; it was changed.")
        made = object.__new__(getattr(import_module(module), name))
        vars(made).update(unpack(packed["fields"], arrays))
        return made
    items = [unpack(each, arrays) for each in inner]
    return tuple(items) if kind == "tuple" else items


def wake(model: Any, task: Any) -> None:
    """Build the networks of a loaded model, which need a task for their shapes, and set their weights."""
    for inner in getattr(model, "models", ()):
        if hasattr(inner, "fit"):
            wake(inner, task)
    for field in NETWORKS:
        weights = vars(model).get(field)
        if isinstance(weights, list):
            model.build(task)
            getattr(model, field).set_weights(weights)

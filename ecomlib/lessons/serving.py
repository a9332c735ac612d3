"""Serve many customers from a large catalogue: the search for each one's best items."""

from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np

from ecomlib.recommend.ranking import top_k


def best_items(states: np.ndarray, vectors: np.ndarray, k: int = 20, block: int = 64) -> np.ndarray:
    """The k items with the largest dot product with each customer's state, best first; (n_customers, k).

    Blocks of customers are multiplied and searched side by side on the cores of the machine, so that never
    more than a few blocks of scores are in memory. `states` (n_customers, size) and `vectors` (n_items, size)
    are float32; for a model with a bias give every vector one number more, and every state a 1.
    """
    catalogue = vectors.T if len(states) <= block else np.ascontiguousarray(vectors.T)

    def serve(at: int) -> np.ndarray:
        return top_k(states[at : at + block] @ catalogue, k)

    with ThreadPoolExecutor(joblib.cpu_count()) as pool:
        return np.vstack(list(pool.map(serve, range(0, len(states), block))))

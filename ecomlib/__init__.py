"""The small package the course's notebooks share: shop data in, task arrays out, honest evaluation.

Importing it is cheap (no pandas, no TensorFlow) and sets the few environment variables that have to
stand before TensorFlow starts, so import it first.
"""

import os

import lazy_loader

__version__ = "1.0.0"

# TensorFlow writes start-up lines with a time and a process number; both settings are needed to
# silence them, and a notebook's outputs could not be compared without that.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# The hand-written cells multiply small matrices: waiting threads make that many times slower.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Public names are imported on first use, so that `import ecomlib` stays fast.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["clicks", "gates", "own", "purchases", "recommend", "sales", "stream", "visits"],
    submod_attrs={
        "exercises": ["check"],
        "own.answer": ["forecast_sales", "predict_purchases", "recommend_products"],
        "own.clicks_reader": ["open_clicks"],
        "own.online_retail": ["load_online_retail"],
        "own.opening": ["check_export", "open_shop"],
        "own.sales_reader": ["read_sales"],
        "runtime": ["setup"],
        "shop": ["Shop", "ShopError"],
        "shop.cleaning": ["clean"],
        "shop.complete_journey": ["load_complete_journey"],
        "split": ["Split"],
    },
)

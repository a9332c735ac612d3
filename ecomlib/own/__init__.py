"""Your own shop: what its data are like, and three questions answered for the days after its last day."""

import lazy_loader

from ecomlib.own.profile import profile as profile  # now: a module of the same name would hide it

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"answer": ["Answer", "forecast_sales", "load", "predict_purchases", "recommend_products"]},
)

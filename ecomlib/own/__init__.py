"""Your own shop: what its data are like, and three questions answered for the days after its last day."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "answer": ["Answer", "forecast_sales", "predict_purchases", "recommend_products"],
        "profile": ["profile"],
        "saved": ["load"],
    },
)

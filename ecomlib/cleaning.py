"""Hand-over of the old name until every lesson has moved."""

from ecomlib.shop.cleaning import *  # noqa: F403
from ecomlib.shop.cleaning import NOT_GOODS  # noqa: F401

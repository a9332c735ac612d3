"""Hand-over of the old name until every lesson has moved."""

from ecomlib.shop.folder import *  # noqa: F403

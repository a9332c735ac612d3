"""Hand-over of the old name until every lesson has moved."""

from ecomlib.shop.complete_journey import FIRST_MONDAY, data_file, load_complete_journey  # noqa: F401
from ecomlib.shop.folder import read_shop  # noqa: F401

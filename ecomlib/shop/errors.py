"""The names of a shop's tables and ids, and the errors that say what is wrong with them."""

TABLES = ("orders", "products", "promotions", "customers", "campaigns", "coupons", "redemptions")
ID_COLUMNS = ("customer_id", "order_id", "product_id", "campaign_id", "coupon_id")


class ShopError(ValueError):
    """A shop's data breaks the contract; the message names the place and the remedy, on one line."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


class MissingColumn(ShopError):
    """A required column is absent."""


class WrongType(ShopError):
    """A column holds values of another kind than the contract asks for."""


class BadValue(ShopError):
    """A value is of the right kind but cannot be true."""


class DuplicateKey(ShopError):
    """Two rows claim to be the same thing."""


class UnknownKey(ShopError):
    """A customer or product is named that does not exist."""


class TooShort(ShopError):
    """There is less history than the task needs."""


class UnreadableFile(ShopError):
    """A file is missing, empty, or not in the form its name promises."""

"""A shop: the contract that every use case starts at, its checks, its cleaning, and where shops come from."""

from ecomlib.shop.errors import (
    BadValue,
    DuplicateKey,
    MissingColumn,
    ShopError,
    TooShort,
    UnknownKey,
    UnreadableFile,
    WrongType,
)
from ecomlib.shop.shop import Shop

__all__ = [
    "BadValue",
    "DuplicateKey",
    "MissingColumn",
    "Shop",
    "ShopError",
    "TooShort",
    "UnknownKey",
    "UnreadableFile",
    "WrongType",
]

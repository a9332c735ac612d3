"""A shop: the contract that every use case starts at, its checks, its cleaning, and where shops come from."""

from ecomlib.shop.errors import BadValue as BadValue
from ecomlib.shop.errors import DuplicateKey as DuplicateKey
from ecomlib.shop.errors import MissingColumn as MissingColumn
from ecomlib.shop.errors import ShopError as ShopError
from ecomlib.shop.errors import TooShort as TooShort
from ecomlib.shop.errors import UnknownKey as UnknownKey
from ecomlib.shop.errors import UnreadableFile as UnreadableFile
from ecomlib.shop.errors import WrongType as WrongType
from ecomlib.shop.shop import Shop as Shop

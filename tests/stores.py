"""The store of the tests."""

from separation.store.objects import Store
from separation.store.retry import RetryPolicy

STORE = Store(RetryPolicy())

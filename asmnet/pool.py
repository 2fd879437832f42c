"""Work for several workers at once, given out no faster than its results are taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # slow to import, and half of all users need none
    from concurrent.futures import Executor, Future

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], *, window: int
) -> Generator[Result, None, None]:
    """``pool.map`` for endless ``items``: takes one only when fewer than ``window`` are waiting.

    Results come in the items' order. An exception of ``function`` comes at its item's turn, one of
    ``items`` after the results of those that came before. The pool is shut down at the end, at an
    exception, and when the iterator is closed: work that has begun is waited for, the rest is
    dropped.
    """
    waiting: deque[Future[Result]] = deque()
    failure: Exception | None = None
    source = iter(items)
    try:
        while True:
            try:
                item = next(source)
            except StopIteration:
                break
            except Exception as error:  # noqa: BLE001  it is raised below
                failure = error
                break
            waiting.append(pool.submit(function, item))
            if len(waiting) == window:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(cancel_futures=True)

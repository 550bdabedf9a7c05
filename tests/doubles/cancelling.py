"""Cancels one operation at every step that it takes, each time in a new world.

A task goes in steps, from one checkpoint to the next. A cancellation can find it in two ways,
and an operation has to stand both:

    while it waits at a checkpoint      it ends there, unless what it waits for goes on to its end
    just as it goes on from one,        it ends at the next one, before that one has begun
    or as it begins

Trio's order of tasks is the same in each of the worlds, so that they differ by the cut alone.
"""

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import trio
import trio._core._run as trio_run

_REPOSITORY: Final = str(Path(__file__).resolve().parents[2])
_MOST_CUTS: Final = 5_000
"""More steps than any operation takes: one that never ends by itself fails and does not hang."""


class Cut:
    """One cancellation, the ``number``-th that is possible. :meth:`run` is called once.

    ``is_over``: the operation ended before. ``where`` says what it was doing.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_over = False
        self.where = "nothing, because it was over"
        self.result: Any = None
        """What the operation gave, if it ended all the same."""
        self._was_run = False

    async def run(
        self, operation: Callable[[], Awaitable[Any]], *, beside: trio.Nursery | None = None
    ) -> None:
        """Run the operation, and cancel it.

        It is also cut where the tasks of the nursery ``beside`` take a step while it waits:
        those of the other parties, which go on.
        """
        assert not self._was_run, "one cut is for one operation"
        self._was_run = True
        scope = trio.CancelScope()

        async def run() -> None:
            knife = _Knife(trio.lowlevel.current_task(), beside, self.number, scope)
            knife.begin()
            trio.lowlevel.add_instrument(knife)
            try:
                with scope:
                    self.result = await operation()
            finally:
                trio.lowlevel.remove_instrument(knife)
                self.is_over = not scope.cancel_called
                self.where = knife.where or self.where

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)


class _Knife(trio.abc.Instrument):
    """Counts where an operation can be cut, and cuts it."""

    def __init__(
        self,
        root: trio.lowlevel.Task,
        beside: trio.Nursery | None,
        number: int,
        scope: trio.CancelScope,
    ) -> None:
        self.where = ""
        self._root = root
        self._beside = beside
        self._left = number
        self._scope = scope

    def begin(self) -> None:
        self._pass(None, "as it begins")

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._is_own(task):
            self._pass(task, "as it goes on from")

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._is_own(task):
            self._pass(task, "while it waits in")
        elif self._beside is not None and self._beside in _nurseries_around(task):
            self._pass(self._root, "while others act and it waits in")

    def _is_own(self, task: trio.lowlevel.Task) -> bool:
        return task is self._root or any(
            nursery.parent_task is self._root for nursery in _nurseries_around(task)
        )

    def _pass(self, task: trio.lowlevel.Task | None, how: str) -> None:
        self._left -= 1
        if self._left == 0:
            self.where = how if task is None else f"{how} {_place_of(task)}"
            self._scope.cancel()


def _nurseries_around(task: trio.lowlevel.Task) -> Iterator[trio.Nursery]:
    """Give the nurseries that a task lives in, innermost first."""
    nursery = task.parent_nursery
    while nursery is not None:
        yield nursery
        nursery = nursery.parent_task.parent_nursery


def _place_of(task: trio.lowlevel.Task) -> str:
    """Say where a task is, outermost first, by the lines of this repository."""
    lines = [
        f"{Path(frame.f_code.co_filename).relative_to(_REPOSITORY)}:{line}"
        for frame, line in task.iter_await_frames()
        if frame.f_code.co_filename.startswith(_REPOSITORY)
        and "/.venv/" not in frame.f_code.co_filename
    ]
    return " > ".join(lines[-4:]) or task.name


async def cut_everywhere(once: Callable[[Cut], Awaitable[None]], *, at_least: int) -> int:
    """Call ``once`` with one cut after the other, until the operation ends by itself.

    ``once`` makes a world, runs the operation by :meth:`Cut.run`, and says what has to hold.
    What it raises has the place of the cut in a note. ``at_least`` so many cuts there must be,
    or the operation has not done what the test is about. Returns how many there were.
    """
    for number in range(1, _MOST_CUTS):
        cut = Cut(number)
        with _same_order():
            try:
                await once(cut)
            except BaseException as error:
                error.add_note(f"cut {number}: {cut.where}")
                raise
        assert cut._was_run, "the operation was not run"
        if cut.is_over:
            assert number > at_least, f"{number - 1} cuts, and not {at_least}"
            return number - 1
    raise AssertionError("the operation does not end")


@contextmanager
def _same_order() -> Iterator[None]:
    """Have Trio take tasks that are ready at once in an order that is the same each time."""
    before = trio_run._ALLOW_DETERMINISTIC_SCHEDULING, trio_run._r
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True
    trio_run._r = random.Random(1)
    try:
        yield
    finally:
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING, trio_run._r = before

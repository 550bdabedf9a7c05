"""Why a room's files could not be changed."""


class StorageFull(Exception):
    """There was no space. Nothing was stored, and a later try may succeed."""


class StorageFailed(Exception):
    """The disk failed, or somebody else changed the files. Only opening again helps."""


class StorageBusy(Exception):
    """The process is out of descriptors or memory. Nothing was stored; try again soon."""

"""Why a request that was understood is not answered: what a problem document is made of (RFC 9457)."""

from features.errors import PropensityError

__all__ = ["Refused"]


class Refused(PropensityError):
    """`status` is the HTTP status, `pointer` the place in the request (a JSON pointer, empty for the whole of it)."""

    def __init__(self, status: int, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.status, self.detail, self.pointer = status, detail, pointer

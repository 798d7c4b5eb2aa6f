"""The bytes of an upload, whether they came as the raw body or as the one file of a form.

It does not look into them: reading and judging the file is the workflow's.
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected

FILENAME_CHARS_MAX = 100
FORM_FIELDS_MAX = 4


@dataclass(frozen=True, slots=True)
class Upload:
    """One uploaded file: its bytes as received, and the name that the client gave it."""

    data: bytes
    filename: str


async def read_upload(request: Request, filename: Annotated[str, Query()] = "") -> Upload:
    """Return the uploaded file of ``request``; ``filename`` is the name of a file that is the raw body.

    Raises
    ------
    InputRejected
        REQUEST_INVALID when a form does not hold exactly one file, or cannot be read as a form.
    """
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        return await _from_form(request)
    return Upload(await request.body(), _plain_name(filename))


async def _from_form(request: Request) -> Upload:
    try:
        async with request.form(max_files=1, max_fields=FORM_FIELDS_MAX) as form:
            files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
            if len(files) != 1:
                raise InputRejected(Code.REQUEST_INVALID, "A form upload holds exactly one file.")
            others = [name for name, value in form.multi_items() if not isinstance(value, UploadFile)]
            if others:
                message = f"A form upload holds a file alone, and no field '{others[0][:40]}': the round stands in the address."
                raise InputRejected(Code.REQUEST_INVALID, message)
            return Upload(await files[0].read(), _plain_name(files[0].filename or ""))
    except (HTTPException, KeyError, ValueError, AssertionError) as error:
        # The form reader raises the first on what it expects to go wrong, and the others on boundaries and headers that it
        # does not.
        raise InputRejected(Code.REQUEST_INVALID, "The form upload cannot be read.") from error


def _plain_name(name: str) -> str:
    """Return the last part of ``name``, printable and short: it is shown to people and never used as a path."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable())[:FILENAME_CHARS_MAX] or "upload.csv"


FileUpload = Annotated[Upload, Depends(read_upload)]

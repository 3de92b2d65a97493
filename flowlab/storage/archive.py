"""A run's directory as one file, and back."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from flowlab.storage.files import StoreError, saving

LEFT_OUT = ("lock",)
"""Files that are of a process, not of a run; temporary ones too."""


def pack(run: Path, path: Path, texts: Mapping[str, str]) -> Path:
    """Write all files of a run's directory into the zip file ``path``, whole or not at all, with some ``texts``.

    Raises:
        StoreError: where it cannot be written.
    """
    temporary = path.with_name(path.name + ".tmp")
    with saving("the archive", path):
        try:
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, text in texts.items():
                    archive.writestr(name, text)
                for file in sorted(run.rglob("*")):
                    if file.is_file() and file.name not in LEFT_OUT and file.suffix not in (".tmp", ".zip"):
                        archive.write(file, file.relative_to(run).as_posix())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def unpacked(path: str | Path) -> Path:
    """The directory of a run; of one that was packed it is written beside the file, ``run.zip`` as ``run``.

    Raises:
        StoreError: where that is no packed run, or something else has the name of its directory.
    """
    file = Path(path).expanduser().absolute()
    if file.suffix != ".zip" or not file.is_file():
        return file
    folder = file.with_suffix("")
    if (folder / "experiment.json").exists():
        with zipfile.ZipFile(file) as archive:
            if archive.read("experiment.json") == (folder / "experiment.json").read_bytes():
                return folder  # it was unpacked before, and may have gone on since
    if folder.exists():
        raise StoreError(f"{file} is unpacked into {folder}, which is there already: rename one of them")
    try:
        with zipfile.ZipFile(file) as archive:
            names = [PurePosixPath(name) for name in archive.namelist()]
            if PurePosixPath("experiment.json") not in names:
                raise StoreError(f"there is no run in {file}: experiment.json is missing")
            if any(name.is_absolute() or ".." in name.parts for name in names):
                raise StoreError(f"{file} has names that lead out of its directory: it is no run of flowlab's")
            archive.extractall(folder)
    except zipfile.BadZipFile as error:
        raise StoreError(f"{file} cannot be read: {error}") from error
    return folder

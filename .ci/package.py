"""Whether the sdist and the wheel in a folder have all that belongs in them. package.py FOLDER"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path


def missing(checkout: set[str], sdist: set[str], wheel: set[str]) -> list[str]:
    """Every file of the checkout is in the sdist, every file of the package in the wheel, too; and nothing else."""
    package = {name for name in checkout if name.startswith("linvar/")}
    return [
        *(f"{name}: not in the sdist" for name in sorted(checkout - sdist)),
        *(f"{name}: not in the wheel" for name in sorted(package - wheel)),
        *(f"{name}: in the wheel alone" for name in sorted(wheel - package)),
    ]


def main(folder: Path) -> int:
    """Read both archives, print what is wrong."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, check=True
    )
    checkout = {name for name in listed.stdout.decode().split("\0") if name and Path(name).exists()}
    (source,), (built,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    with tarfile.open(source) as archive:
        sdist = {name.partition("/")[2] for name in archive.getnames()}
    with zipfile.ZipFile(built) as archive:
        wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
    faults = missing(checkout, sdist, wheel)
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"{built.name}: {len(wheel)} files; {source.name}: {len(sdist)} files")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""The bill of materials of an environment: CycloneDX, made by cyclonedx-bom from what is installed, without asking anybody.

python -m tests.supply.sbom var/sbom.json        (make sbom)
"""

import json
import subprocess
import sys
from pathlib import Path

__all__ = ["made"]

ROOT = Path(__file__).parents[2]


def made(file: Path) -> dict[str, object]:
    """Write the bill, and check it against the schema. Raises `CalledProcessError` when it does not hold."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", str(ROOT / "pyproject.toml"),
               "--output-reproducible", "--short-PURLs", "--validate", "-o", "-", sys.executable]  # fmt: skip
    said = subprocess.run(command, check=True, capture_output=True).stdout
    bill: dict[str, object] = json.loads(said, object_hook=_without_links)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(bill, indent=1) + "\n")
    return bill


def _without_links(found: dict[str, object]) -> dict[str, object]:
    """Where a package can be had is the reader's own affair."""
    found.pop("externalReferences", None)
    return found


if __name__ == "__main__":
    found = made(Path(sys.argv[1]))
    print(f"{sys.argv[1]}: {len(found['components'])} components")  # type: ignore[arg-type]

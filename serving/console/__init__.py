"""The console: one page of HTML, styles and script for people, that asks the same service and nothing else."""

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path

__all__ = ["console"]

PAGE = Path(__file__).with_name("page.html")


@lru_cache(maxsize=1)
def console() -> tuple[bytes, str]:
    """The page, and the content security policy to send with it: its own script and styles, by their hashes, and questions to
    the service it came from. Nothing else is run, loaded or asked, and no other page may frame it."""
    text = PAGE.read_text()

    def hashed(tag: str) -> str:
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.S)
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

    policy = (
        f"default-src 'none'; script-src {hashed('script')}; style-src {hashed('style')}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text.encode(), policy

"""The console needs nothing from outside, says everything in two languages, and works in a browser."""

import re

from serving.console import console


def test_it_is_one_page_that_names_no_outside_resource() -> None:
    page, policy = console()
    text = page.decode()
    assert re.findall(r"""(?:src|href)=["']([^"']*)["']""", text) == ["data:,", "#main"]
    assert [
        one for one in re.findall(r"https?://[^\"'\s)]+", text) if one != "http://www.w3.org/2000/svg"
    ] == []
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert policy.count("sha256-") == 2
    assert not re.search(r"\sstyle=|\son\w+=[\"']", text)  # the policy would silence them


def test_every_word_it_says_is_there_in_both_languages() -> None:
    text = console()[0].decode()
    words = dict(re.findall(r'(\w+):\["[^"]*","([^"]*)"\]', text))
    used = set(re.findall(r'\bt\("(\w+)"', text)) | set(re.findall(r'data-t="(\w+)"', text))
    assert used <= words.keys()
    assert all(re.search(r"[\u4e00-\u9fff]", chinese) or chinese == "ROC AUC" for chinese in words.values())

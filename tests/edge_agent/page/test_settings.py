"""``[page]`` and ``--page``: what is taken, and what each mistake says."""

from __future__ import annotations

import pytest

from edge_agent.config import Address, parse
from edge_agent.errors import ConfigError


def parsed(tmp_path, **page):
    document = {"device": {"id": "cell-3"}, "model": [{"name": "m"}], "page": page}
    return parse(document, tmp_path / "agent.toml").page


def test_there_is_no_page_by_default(tmp_path):
    """And nothing about it must be written."""
    page = parsed(tmp_path)
    assert page.address is None and page.token_file is None and page.hosts == ()


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:8800", "127.0.0.1", 8800, True),
        ("localhost:8800", "127.0.0.1", 8800, True),
        ("[::1]:8800", "::1", 8800, True),
        ("0.0.0.0:8800", "0.0.0.0", 8800, False),
        ("[::]:0", "::", 0, False),
        ("192.168.7.20:80", "192.168.7.20", 80, False),
    ],
)
def test_addresses(text, host, port, loopback):
    """An IP address and a port; whether others can reach it follows from it."""
    address = Address.parse(text)
    assert (address.host, address.port, address.loopback) == (host, port, loopback)
    assert str(address) == text.replace("localhost", "127.0.0.1")


@pytest.mark.parametrize(
    "text",
    ["8800", ":8800", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:70000", "::1:8800",
     "[127.0.0.1]:80", "cell-3.example:80", "127.0.0.1:-1", "127.1:80", "[::1:80", ""],
)  # fmt: skip
def test_what_is_no_address(text):
    """A name could mean anything tomorrow, so only ``localhost`` is taken."""
    with pytest.raises(ValueError, match="should be ADDRESS:PORT"):
        Address.parse(text)


def test_a_section_is_read_with_paths_from_its_folder(tmp_path):
    """Names are compared in lower case."""
    page = parsed(
        tmp_path,
        address="0.0.0.0:8800",
        token_file="page.token",
        hosts=["Cell-3.example"],
        width=640,
    )
    assert page.address == Address("0.0.0.0", 8800)
    assert page.token_file == tmp_path / "page.token"
    assert (page.hosts, page.width) == (("cell-3.example",), 640)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ({"adress": "127.0.0.1:80"}, 'page.adress: is not a known key; did you mean "address"?'),
        ({"address": "cell-3:80"}, 'page.address: "cell-3:80" should be ADDRESS:PORT'),
        ({"hosts": ["a b"]}, 'page.hosts: "a b" is not the name of a machine'),
        ({"width": 1}, "page.width: 1 is below the least allowed, 64"),
    ],
)
def test_each_fault_is_named(tmp_path, page, words):
    """With its place in the file."""
    with pytest.raises(ConfigError) as caught:
        parsed(tmp_path, **page)
    assert words in str(caught.value)

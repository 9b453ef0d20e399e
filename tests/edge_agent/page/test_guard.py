"""Who may look: token files, the cookie, host names."""

from __future__ import annotations

import os

import pytest

from edge_agent.errors import ConfigError
from edge_agent.page.guard import Guard, read_token

TOKEN = "0123456789abcdef0123"


def written(path, text=TOKEN, mode=0o600):
    path.write_text(text)
    os.chmod(path, mode)
    return path


@pytest.fixture
def guard():
    return Guard.make(TOKEN, device="cell-3", port=8800, hosts=["cell-3.example"])


def cookie_of(guard):
    return guard.set_cookie().partition(";")[0]


def test_a_token_is_one_line(tmp_path):
    """White space around it does not count."""
    assert read_token(written(tmp_path / "token", f"{TOKEN}\n")) == TOKEN


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
def test_a_token_that_others_can_read_is_refused(tmp_path, mode):
    """With the mode and the command that mends it."""
    path = written(tmp_path / "token", mode=mode)
    with pytest.raises(ConfigError, match=f"mode is {mode:04o}.*chmod 600 {path}"):
        read_token(path)


@pytest.mark.parametrize("text", ["", "short", "two words of some length", "é" * 20, "a" * 257])
def test_what_is_no_token_is_refused(tmp_path, text):
    """Too short to be safe, too long or odd to be meant."""
    with pytest.raises(ConfigError, match=r"should hold 16 to 256.*openssl rand"):
        read_token(written(tmp_path / "token", text))


def test_a_missing_token_file_says_how_to_make_one(tmp_path):
    """A folder in its place is the same."""
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError, match=f"token_file {path}: .*openssl rand"):
            read_token(path)


def test_the_cookie_admits_and_does_not_give_the_token_away(guard):
    """HttpOnly, SameSite=Strict, for this device and port alone."""
    header = guard.set_cookie()
    assert "HttpOnly" in header and "SameSite=Strict" in header and TOKEN not in header
    assert guard.admits(cookie_of(guard))
    assert guard.admits(f"other=1; {cookie_of(guard)}; more=2")
    for other in (
        Guard.make(TOKEN, device="cell-4", port=8800),
        Guard.make(TOKEN, device="cell-3", port=8801),
        Guard.make(TOKEN[::-1], device="cell-3", port=8800),
    ):
        assert not other.admits(cookie_of(guard))


def test_a_restarted_agent_knows_the_cookie(guard):
    """It is made from the token, not from chance."""
    again = Guard.make(TOKEN, device="cell-3", port=8800)
    assert again.admits(cookie_of(guard))


@pytest.mark.parametrize(
    "cookies", [None, "", "outpost-cell-3-8800", "outpost-cell-3-8800=", "é=é;"]
)
def test_other_cookies_do_not_admit(guard, cookies):
    """Nor does none."""
    assert not guard.admits(cookies)
    assert not guard.admits(f"{guard.cookie}={TOKEN}")


def test_without_a_token_everybody_may_look():
    """On the loopback interface."""
    assert Guard.make("", device="cell-3", port=8800).admits(None)


def test_the_token_is_compared_whole(guard):
    """Odd bytes are no crash."""
    assert guard.is_token(TOKEN)
    for wrong in ("", TOKEN[:-1], TOKEN + "0", "é", "\udcff"):
        assert not guard.is_token(wrong)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8800", "localhost:9999", "[::1]:8800", "192.168.7.20", "LOCALHOST",
     "cell-3.example:8800", "Cell-3.Example"],
)  # fmt: skip
def test_our_names(guard, host):
    """IP addresses cannot be rebound; a port may be forwarded from another one."""
    assert guard.knows_host(host)


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "evil.example:8800", "localhost.evil.example", "127.0.0.1.evil.io",
     "cell-3.example.evil.io", "[::1", "a@127.0.0.1.evil.io", "evil.io/127.0.0.1"],
)  # fmt: skip
def test_other_names(guard, host):
    """What a rebound name looks like."""
    assert not guard.knows_host(host)

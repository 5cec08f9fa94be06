"""The XWMS API as data: the calls beside a login. Build a call, read an answer.

XWMS's SDKs put `redirect_url` into the body of every POST and send a `sub` of digits as a number; so do we.

Knows: paths, bodies, and what the `data` of each answer holds.
Must not: send anything.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from ..base.effects import MAX_REPLY, ApiCall, UpstreamResponse
from ..base.errors import APIError, BadAnswer, RequestRejected
from ..base.strict_json import JSONObject, parse_id, parse_objects, parse_sub
from .envelope import data_of, member, require_echo, success
from .resources import ADDRESS_FIELDS, Address, Country, Project, StoredAddress, UserInfo

T = TypeVar("T")
V = TypeVar("V")

MAX_LIST = 1024 * 1024
"""Bytes of an answer that is a list."""

MAX_COUNTRIES = MAX_PROJECTS = MAX_ADDRESSES = 1000
"""Entries of such a list."""

_MAX_NUMBER = 2**53 - 1
"""The largest number that every JSON reader takes exactly: a larger sub, rounded, would be another person."""


def countries(redirect_uri: str) -> ApiCall:
    """`POST global/countries`."""
    return _post("global/countries", {"redirect_url": redirect_uri}, max_reply=MAX_LIST)


def projects() -> ApiCall:
    """`GET global/projects`."""
    return ApiCall("GET", "global/projects", None, authenticated=False, max_reply=MAX_LIST)


def user_info(sub: str, redirect_uri: str, *, socials: bool) -> ApiCall:
    """`POST get/user/info`: what does XWMS know about this person?"""
    # XWMS documents `true` only, so without social profiles nothing is said about them.
    wanted = {"socials": True} if socials else {}
    return _post("get/user/info", {"sub": _number(parse_sub(sub)), **wanted, "redirect_url": redirect_uri})


def list_addresses(sub: str, redirect_uri: str) -> ApiCall:
    """`POST get/user/address`: this person's addresses."""
    body = {"sub": _number(parse_sub(sub)), "redirect_url": redirect_uri}
    return _post("get/user/address", body, max_reply=MAX_LIST)


def create_address(sub: str, address: Address, redirect_uri: str) -> ApiCall:
    """`POST user/address`: a new address."""
    return _act(sub, "create", {"address": _fields(address)}, redirect_uri)


def update_address(sub: str, address_id: str, address: Address, redirect_uri: str) -> ApiCall:
    """`POST user/address`: change an address."""
    changes = {"address_id": _number(parse_id(address_id, "address_id")), "address": _fields(address)}
    return _act(sub, "update", changes, redirect_uri)


def delete_address(sub: str, address_id: str, redirect_uri: str) -> ApiCall:
    """`POST user/address`: delete an address."""
    return _act(sub, "delete", {"address_id": _number(parse_id(address_id, "address_id"))}, redirect_uri)


def _act(
    sub: str, action: Literal["create", "update", "delete"], more: Mapping[str, object], redirect_uri: str
) -> ApiCall:
    body = {"sub": _number(parse_sub(sub)), "action": action, **more, "redirect_url": redirect_uri}
    return _post("user/address", body)


def _fields(address: Address) -> dict[str, str]:
    return {name: text for name in ADDRESS_FIELDS if (text := getattr(address, name)) is not None}


def _number(identifier: str) -> int | str:
    """An id as XWMS's SDKs send it. Only what no JSON reader rounds is a number."""
    digits = identifier.isascii() and identifier.isdigit() and identifier[0] != "0" and len(identifier) <= 19
    return int(identifier) if digits and int(identifier) <= _MAX_NUMBER else identifier


def _post(path: str, body: Mapping[str, object], *, max_reply: int = MAX_REPLY) -> ApiCall:
    return ApiCall("POST", path, json.dumps(body).encode(), authenticated=True, max_reply=max_reply)


def read_countries(reply: UpstreamResponse) -> tuple[Country, ...]:
    """Read the answer to `global/countries`."""
    return _read_list(reply, "countries", Country.parse, refused=BadAnswer, most=MAX_COUNTRIES)


def read_projects(reply: UpstreamResponse) -> tuple[Project, ...]:
    """Read the answer to `global/projects`."""
    return _read_list(reply, "projects", Project.parse, refused=BadAnswer, most=MAX_PROJECTS)


def read_user_info(reply: UpstreamResponse, *, sub: str, issuer: str) -> UserInfo:
    """Read the answer to `get/user/info`."""
    data = data_of(success(reply, refused=RequestRejected))
    found = _read("user", lambda one: UserInfo.parse(one, issuer=issuer), member(data, "user") or data)
    if found.sub != parse_sub(sub):
        raise BadAnswer("the answer is about another person")
    return found


def read_addresses(reply: UpstreamResponse, *, sub: str) -> tuple[StoredAddress, ...]:
    """Read the answer to `get/user/address`."""
    return _read_list(
        reply, "addresses", StoredAddress.parse, refused=RequestRejected, most=MAX_ADDRESSES, sub=parse_sub(sub)
    )


def read_address(reply: UpstreamResponse, *, sub: str, address_id: str | None = None) -> StoredAddress:
    """Read the answer to a new or a changed address. The one with `address_id` must be the one that was asked for."""
    data = data_of(success(reply, refused=RequestRejected))
    require_echo(data, "sub", parse_sub(sub))
    found = _read("address", StoredAddress.parse, member(data, "address"))
    if address_id is not None and found.id != parse_id(address_id, "address_id"):
        raise BadAnswer("the answer is about another address")
    return found


def read_deleted(reply: UpstreamResponse) -> None:
    """Read the answer to a deleted address. Nothing is documented but success: PHP makes `[]` of empty data."""
    success(reply, refused=RequestRejected)


def _read_list(
    reply: UpstreamResponse,
    name: str,
    parse: Callable[[Mapping[str, Any]], T],
    *,
    refused: type[APIError],
    most: int,
    sub: str | None = None,
) -> tuple[T, ...]:
    """Read a list, at `data` of that name; or at `data` itself, since XWMS documents only what is in it."""
    data = success(reply, refused=refused).get("data")
    listed: object = data
    if isinstance(data, JSONObject):
        listed = data.get(name)
        if sub is not None:
            require_echo(data, "sub", sub)
    return _read(name, lambda found: tuple(map(parse, parse_objects(found, name, most=most))), listed)


def _read(name: str, parse: Callable[[V], T], value: V) -> T:
    try:
        return parse(value)
    except ValueError as fault:
        cause = f"{name}: {fault}"
    # Raised here, so that no frame in which the answer was taken apart hangs on to the error.
    raise BadAnswer(cause)

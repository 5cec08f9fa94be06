"""Requests and responses of the XWMS API outside a login.

XWMS's SDKs put `redirect_url` into the body of every POST and send a `sub` of digits as a number, and so does this
module.
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

MAX_LIST_BYTES = 1024 * 1024
"""Bytes of a response that is a list."""

MAX_COUNTRIES = MAX_PROJECTS = MAX_ADDRESSES = 1000
"""Entries of such a list, at most."""

_MAX_NUMBER = 2**53 - 1
"""The largest integer that every JSON parser reads exactly: a larger sub, rounded, would be another user's."""


def countries(redirect_uri: str) -> ApiCall:
    """`POST global/countries`."""
    return _post("global/countries", {"redirect_url": redirect_uri}, max_reply=MAX_LIST_BYTES)


def projects() -> ApiCall:
    """`GET global/projects`."""
    return ApiCall("GET", "global/projects", None, authenticated=False, max_reply=MAX_LIST_BYTES)


def user_info(sub: str, redirect_uri: str, *, socials: bool) -> ApiCall:
    """`POST get/user/info`: a user's current data."""
    # XWMS documents the value `true` only, so without social profiles the field is omitted.
    options = {"socials": True} if socials else {}
    return _post("get/user/info", {"sub": _json_id(parse_sub(sub)), **options, "redirect_url": redirect_uri})


def list_addresses(sub: str, redirect_uri: str) -> ApiCall:
    """`POST get/user/address`: a user's addresses."""
    body = {"sub": _json_id(parse_sub(sub)), "redirect_url": redirect_uri}
    return _post("get/user/address", body, max_reply=MAX_LIST_BYTES)


def create_address(sub: str, address: Address, redirect_uri: str) -> ApiCall:
    """`POST user/address`: create an address."""
    return _change_address(sub, "create", {"address": _fields(address)}, redirect_uri)


def update_address(sub: str, address_id: str, address: Address, redirect_uri: str) -> ApiCall:
    """`POST user/address`: update an address."""
    changes = {"address_id": _json_id(parse_id(address_id, "address_id")), "address": _fields(address)}
    return _change_address(sub, "update", changes, redirect_uri)


def delete_address(sub: str, address_id: str, redirect_uri: str) -> ApiCall:
    """`POST user/address`: delete an address."""
    return _change_address(sub, "delete", {"address_id": _json_id(parse_id(address_id, "address_id"))}, redirect_uri)


def _change_address(
    sub: str, action: Literal["create", "update", "delete"], more: Mapping[str, object], redirect_uri: str
) -> ApiCall:
    body = {"sub": _json_id(parse_sub(sub)), "action": action, **more, "redirect_url": redirect_uri}
    return _post("user/address", body)


def _fields(address: Address) -> dict[str, str]:
    return {name: text for name in ADDRESS_FIELDS if (text := getattr(address, name)) is not None}


def _json_id(identifier: str) -> int | str:
    """An id as XWMS's SDKs send it: a number, but only if every JSON parser reads it exactly."""
    digits = identifier.isascii() and identifier.isdigit() and identifier[0] != "0" and len(identifier) <= 19
    return int(identifier) if digits and int(identifier) <= _MAX_NUMBER else identifier


def _post(path: str, body: Mapping[str, object], *, max_reply: int = MAX_REPLY) -> ApiCall:
    return ApiCall("POST", path, json.dumps(body).encode(), authenticated=True, max_reply=max_reply)


def read_countries(response: UpstreamResponse) -> tuple[Country, ...]:
    """Parse the response to `global/countries`."""
    return _read_list(response, "countries", Country.parse, refused=BadAnswer, most=MAX_COUNTRIES)


def read_projects(response: UpstreamResponse) -> tuple[Project, ...]:
    """Parse the response to `global/projects`."""
    return _read_list(response, "projects", Project.parse, refused=BadAnswer, most=MAX_PROJECTS)


def read_user_info(response: UpstreamResponse, *, sub: str, issuer: str) -> UserInfo:
    """Parse the response to `get/user/info`."""
    data = data_of(success(response, refused=RequestRejected))
    found = _parse("user", lambda one: UserInfo.parse(one, issuer=issuer), member(data, "user") or data)
    if found.sub != parse_sub(sub):
        raise BadAnswer("the response is about another user")
    return found


def read_addresses(response: UpstreamResponse, *, sub: str) -> tuple[StoredAddress, ...]:
    """Parse the response to `get/user/address`."""
    return _read_list(
        response, "addresses", StoredAddress.parse, refused=RequestRejected, most=MAX_ADDRESSES, sub=parse_sub(sub)
    )


def read_address(response: UpstreamResponse, *, sub: str, address_id: str | None = None) -> StoredAddress:
    """Parse the response to creating or updating an address. With `address_id`, it must be about that address."""
    data = data_of(success(response, refused=RequestRejected))
    require_echo(data, "sub", parse_sub(sub))
    found = _parse("address", StoredAddress.parse, member(data, "address"))
    if address_id is not None and found.id != parse_id(address_id, "address_id"):
        raise BadAnswer("the response is about another address")
    return found


def read_deleted(response: UpstreamResponse) -> None:
    """Parse the response to deleting an address. Only success is documented: PHP encodes empty data as `[]`."""
    success(response, refused=RequestRejected)


def _read_list(
    response: UpstreamResponse,
    name: str,
    parse: Callable[[Mapping[str, Any]], T],
    *,
    refused: type[APIError],
    most: int,
    sub: str | None = None,
) -> tuple[T, ...]:
    """Parse a list under `data[name]`, or under `data` itself, since XWMS documents only the entries."""
    data = success(response, refused=refused).get("data")
    entries: object = data
    if isinstance(data, JSONObject):
        entries = data.get(name)
        if sub is not None:
            require_echo(data, "sub", sub)
    return _parse(name, lambda found: tuple(map(parse, parse_objects(found, name, most=most))), entries)


def _parse(name: str, parse: Callable[[V], T], value: V) -> T:
    try:
        return parse(value)
    except ValueError as fault:
        cause = f"{name}: {fault}"
    # Raised outside the handler, so that the traceback holds no frame with response data.
    raise BadAnswer(cause)

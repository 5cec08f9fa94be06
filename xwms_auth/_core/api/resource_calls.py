"""The calls of the XWMS API outside a login, as steps: send the request, parse the response.

XWMS's SDKs put `redirect_url` into the body of every POST and send a `sub` of digits as a number, and so does this
module.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, TypeVar

from ..base.effects import MAX_REPLY, ApiCall, CallXWMS, Steps, ask
from ..base.errors import APIError, BadAnswer, RequestRejected
from ..base.strict_json import JSONObject, parse_id, parse_objects, parse_sub
from ..config.config import XWMSConfig
from ..config.credentials import send_as_client
from .login_calls import data_of, member, require_echo, success
from .resources import ADDRESS_FIELDS, Address, Country, Project, StoredAddress, UserInfo

T = TypeVar("T")
V = TypeVar("V")

MAX_LIST_BYTES = 1024 * 1024
"""Bytes of a response that is a list."""

MAX_COUNTRIES = MAX_PROJECTS = MAX_ADDRESSES = 1000
"""Entries of such a list, at most."""

_MAX_NUMBER = 2**53 - 1
"""The largest integer that every JSON parser reads exactly: a larger sub, rounded, would be another user's."""


def countries(config: XWMSConfig) -> Steps[tuple[Country, ...]]:
    """`POST global/countries`."""
    envelope = yield from _post("global/countries", config, {}, refused=BadAnswer, max_reply=MAX_LIST_BYTES)
    return _read_list(envelope, "countries", Country.parse, most=MAX_COUNTRIES)


def projects() -> Steps[tuple[Project, ...]]:
    """`GET global/projects`: the public projects."""
    call = ApiCall("GET", "global/projects", max_reply=MAX_LIST_BYTES)
    envelope = success((yield from ask(CallXWMS(call))), refused=BadAnswer)
    return _read_list(envelope, "projects", Project.parse, most=MAX_PROJECTS)


def user_info(config: XWMSConfig, sub: str, *, socials: bool) -> Steps[UserInfo]:
    """`POST get/user/info`: a user's current data."""
    # XWMS documents the value `true` only, so without social profiles the field is omitted.
    options = {"socials": True} if socials else {}
    sub = parse_sub(sub)
    data = data_of((yield from _post("get/user/info", config, {"sub": _json_id(sub), **options})))
    found = _parse("user", lambda one: UserInfo.parse(one, issuer=config.issuer), member(data, "user") or data)
    if found.sub != sub:
        raise BadAnswer("the response is about another user")
    return found


def list_addresses(config: XWMSConfig, sub: str) -> Steps[tuple[StoredAddress, ...]]:
    """`POST get/user/address`: a user's addresses."""
    sub = parse_sub(sub)
    envelope = yield from _post("get/user/address", config, {"sub": _json_id(sub)}, max_reply=MAX_LIST_BYTES)
    return _read_list(envelope, "addresses", StoredAddress.parse, most=MAX_ADDRESSES, sub=sub)


def create_address(config: XWMSConfig, sub: str, address: Address) -> Steps[StoredAddress]:
    """`POST user/address`: create an address for a user."""
    envelope = yield from _change_address(config, sub, "create", {"address": _fields(address)})
    return _read_address(envelope, sub=sub)


def update_address(config: XWMSConfig, sub: str, address_id: str, address: Address) -> Steps[StoredAddress]:
    """`POST user/address`: update one of a user's addresses."""
    address_id = parse_id(address_id, "address_id")
    changes = {"address_id": _json_id(address_id), "address": _fields(address)}
    found = _read_address((yield from _change_address(config, sub, "update", changes)), sub=sub)
    if found.id != address_id:
        raise BadAnswer("the response is about another address")
    return found


def delete_address(config: XWMSConfig, sub: str, address_id: str) -> Steps[None]:
    """`POST user/address`: delete one of a user's addresses."""
    changes = {"address_id": _json_id(parse_id(address_id, "address_id"))}
    # Only success is documented: PHP encodes empty data as `[]`.
    yield from _change_address(config, sub, "delete", changes)


def _change_address(
    config: XWMSConfig, sub: str, action: Literal["create", "update", "delete"], more: Mapping[str, object]
) -> Steps[JSONObject]:
    body = {"sub": _json_id(parse_sub(sub)), "action": action, **more}
    # Whether it was made would otherwise be unknown.
    return _post("user/address", config, body, must_finish=True)


def _fields(address: Address) -> dict[str, str]:
    return {name: text for name in ADDRESS_FIELDS if (text := getattr(address, name)) is not None}


def _json_id(identifier: str) -> int | str:
    """An id as XWMS's SDKs send it: a number, but only if every JSON parser reads it exactly."""
    digits = identifier.isascii() and identifier.isdigit() and identifier[0] != "0" and len(identifier) <= 19
    return int(identifier) if digits and int(identifier) <= _MAX_NUMBER else identifier


def _post(
    path: str,
    config: XWMSConfig,
    body: Mapping[str, object],
    *,
    refused: type[APIError] = RequestRejected,
    max_reply: int = MAX_REPLY,
    must_finish: bool = False,
) -> Steps[JSONObject]:
    # Outside a login the redirect URI is the first registered one.
    content = json.dumps({**body, "redirect_url": config.registered[0].uri}).encode()
    call = ApiCall("POST", path, content, max_reply=max_reply, must_finish=must_finish)
    return send_as_client(config, call, partial(success, refused=refused))


def _read_address(envelope: JSONObject, *, sub: str) -> StoredAddress:
    data = data_of(envelope)
    require_echo(data, "sub", parse_sub(sub))
    return _parse("address", StoredAddress.parse, member(data, "address"))


def _read_list(
    envelope: JSONObject,
    name: str,
    parse: Callable[[Mapping[str, Any]], T],
    *,
    most: int,
    sub: str | None = None,
) -> tuple[T, ...]:
    """Parse a list under `data[name]`, or under `data` itself, since XWMS documents only the entries."""
    data = envelope.get("data")
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

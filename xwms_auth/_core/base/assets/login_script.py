"""The script that offers the login where a script of the page has got our 401, and its paths.

It wraps `fetch` and `XMLHttpRequest.send`, hands every response on as it is, and reads a copy of a 401 of its own
origin. The offer is a popover, which browsers place, style and close (Escape, a click elsewhere); one that was closed
comes back after a minute at the earliest. Its button posts a form, as the login button does: the click is the gesture
that a login needs (docs/begun-here.md). `submit()` tells no library that takes forms over. Nothing is parsed as HTML,
and styles are set by CSSOM, so that a strict Content-Security-Policy allows all of it.
"""

import base64
import hashlib
from functools import cache
from typing import Final

from ..crypto.digests import digest
from ..errors import LoginRequired
from ..texts.sentences import DEFAULT_LANGUAGE, Texts, texts_in

MAX_SCRIPT: Final = 1024
"""Bytes of the script, as it is served, in any language."""

# d document, [T,L,l] the texts and their language, h location, o its origin, b the offer, f fetch, S send; P looks at
# a response: its status, its URL, and a function that gives the JSON of its body.
_SOURCE: Final = """\
(()=>{let d=document,[T,L,l]=(d.currentScript.dataset.xwms||"@TEXTS@").split("|"),h=location,o=h.origin,b,\
f=fetch,X=XMLHttpRequest.prototype,S=X.send,c=n=>d.createElement(n),
P=async(s,u,g)=>{try{if(s==401&&u.startsWith(o+"/")){let j=await g(),m=c("form"),n=c("button")
u=new URL(j.login_url,u)
if(j.code=="login_required"&&u.origin==o&&!b?.isConnected){b=c("div")
b.role="alert";b.lang=l;b.dir=b.popover="auto";b.style=n.style="inset:auto 0 0;margin:1em;font:inherit"
n.append(L);b.append(T,n,m);d.body.append(b)
n.onclick=()=>{u.searchParams.set("next",h.href.slice(o.length));m.method="post";m.action=u;m.submit()}
b.ontoggle=e=>e.newState>"d"||setTimeout(()=>b.remove(),6e4)
b.showPopover()}}}catch{}}
fetch=(...a)=>f(...a).then(r=>(P(r.status,r.url,()=>r.clone().json()),r))
X.send=function(a){this.addEventListener("load",()=>P(this.status,this.responseURL,()=>JSON.parse(this.responseText)))
S.call(this,a)}})()
"""


def texts_of(texts: Texts) -> str:
    """What the script says, as its tag carries it in the attribute `data-xwms`."""
    return "|".join((texts.errors["login_required"]["title"], texts.buttons.login, texts.language))


@cache
def script_in(language: str) -> str:
    """The script with the texts of one of `LANGUAGES` in it."""
    return _SOURCE.replace("@TEXTS@", texts_of(texts_in(language)))


LOGIN_SCRIPT: Final = _SOURCE.replace("@TEXTS@", f"{LoginRequired.title}|Log in with XWMS|{DEFAULT_LANGUAGE}")
"""The script for a tag that carries the texts."""

INTEGRITY: Final = "sha384-" + base64.b64encode(hashlib.sha384(LOGIN_SCRIPT.encode()).digest()).decode()
"""What a tag may say of it (Subresource Integrity)."""

SCRIPT_PATH: Final = f"/xwms/login-{digest(LOGIN_SCRIPT)[:12]}.js"
"""What follows `path_prefix` in its path."""

PLAIN_SCRIPT_PATH: Final = "/xwms/login.js"
"""The same for the address that stays, of a script with the texts in it."""

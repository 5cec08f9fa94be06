from typing import Annotated

from authlib.integrations.starlette_client import OAuth
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import RedirectResponse
from starlette.config import Config
from starlette.middleware.sessions import SessionMiddleware

config = Config(".env")
app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key=config("SECRET_KEY"))
oauth = OAuth(config)
oauth.register(
    "xwms",
    server_metadata_url=config("XWMS_METADATA_URL"),
    client_kwargs={"scope": "openid profile", "code_challenge_method": "S256"},
)


def current_user(request: Request):
    if "user" not in request.session:
        raise HTTPException(303, headers={"Location": str(request.url_for("login"))})
    return request.session["user"]


@app.get("/")
async def home(user: Annotated[dict, Depends(current_user)]):
    return {"hello": user["name"]}


@app.get("/login")
async def login(request: Request):
    return await oauth.xwms.authorize_redirect(request, request.url_for("callback"))


@app.get("/callback")
async def callback(request: Request):
    token = await oauth.xwms.authorize_access_token(request)
    request.session["user"] = dict(token["userinfo"])
    return RedirectResponse("/", 303)


@app.post("/logout")
async def logout(request: Request):
    request.session.clear()
    return RedirectResponse("/", 303)

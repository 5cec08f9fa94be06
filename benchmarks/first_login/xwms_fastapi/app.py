from fastapi import FastAPI

from xwms_auth.fastapi import CurrentUser, XWMSAuthMiddleware

app = FastAPI()
app.add_middleware(XWMSAuthMiddleware)


@app.get("/")
async def home(user: CurrentUser):
    return {"hello": user.display_name}

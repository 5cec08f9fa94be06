from flask import Flask, redirect, request, url_for
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from markupsafe import escape
from werkzeug.security import check_password_hash, generate_password_hash

app = Flask(__name__)
app.config.from_prefixed_env()
manager = LoginManager(app)
manager.login_view = "login"


class User(UserMixin):
    def __init__(self, name, password):
        self.id = self.name = name
        self.password = generate_password_hash(password)


users = {"Anna de Vries": User("Anna de Vries", "a password of hers")}


@manager.user_loader
def load(user_id):
    return users.get(user_id)


@app.get("/")
@login_required
def home():
    return f"Hello {escape(current_user.name)}"


@app.route("/login", methods=["GET", "POST"])
def login():
    user = users.get(request.form.get("username"))
    if user and check_password_hash(user.password, request.form["password"]):
        login_user(user)
        return redirect(url_for("home"))
    return '<form method="post"><input name="username"><input name="password" type="password"><button>Log in</button>'


@app.post("/logout")
def logout():
    logout_user()
    return redirect(url_for("home"))

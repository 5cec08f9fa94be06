"""`xwms-auth secret`, and what is said where an extra is missing."""

import sys

import pytest

# A None in sys.modules makes an import fail as if the package were not installed.
WITHOUT = "import sys; sys.modules[{name!r}] = None; from xwms_auth.cli import main; main()"


def test_a_secret_is_64_characters_and_never_the_same(run):
    first, second = run("secret"), run("secret")
    assert (first.returncode, first.stderr, len(first.stdout.strip())) == (0, "", 64)
    assert first.stdout != second.stdout


@pytest.mark.parametrize(
    ("package", "extra", "arguments"),
    [
        ("click", "cli", ["secret"]),
        ("flask", "sandbox", ["sandbox"]),
        ("flask", "sandbox", ["dev", "telling:app"]),
    ],
)
def test_a_missing_extra_is_one_line_that_names_the_install_command(run, package, extra, arguments):
    ended = run(*arguments, command=[sys.executable, "-c", WITHOUT.format(name=package)])
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"pip install 'xwms-auth[{extra}]'" in ended.stderr


@pytest.mark.parametrize("package", ["authlib", "joserfc"])
def test_a_login_at_the_local_xwms_needs_no_oauth(run, package):
    """It needs a newer cryptography than many applications have."""
    ended = run(
        *("dev", "flask_one:app", "--check", "--port", "0", "--sandbox-port", "0"),
        command=[sys.executable, "-c", WITHOUT.format(name=package)],
    )
    assert (ended.returncode, ended.stdout) == (0, "Signed in: Anna de Vries (sub 1001)\n"), ended.stderr


def test_without_uvicorn_an_asgi_app_is_one_line_too(run, folder):
    # The folder is looked in first, and this is how an absent package behaves.
    (folder / "uvicorn.py").write_text("raise ModuleNotFoundError('No module named uvicorn', name='uvicorn')")
    ended = run("dev", "asgi_one:app", "--port", "0", "--sandbox-port", "0")
    assert ended.returncode == 1
    assert "Error: uvicorn is not installed: pip install 'xwms-auth[cli]'\n" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_package_can_be_run_where_the_script_is_not_on_the_path(run):
    ended = run("secret", command=(sys.executable, "-m", "xwms_auth"))
    assert (ended.returncode, len(ended.stdout.strip())) == (0, 64)

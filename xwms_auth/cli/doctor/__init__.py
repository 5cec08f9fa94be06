"""The command `doctor`: what goes wrong with a login in practice, looked at one by one."""

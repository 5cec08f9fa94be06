"""Helpers to test an application, or a store of your own, with pytest. The package itself never imports them."""

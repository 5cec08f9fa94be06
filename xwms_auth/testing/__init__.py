"""What helps to test an application, or a store of your own, with pytest.

Knows: nothing; the modules do.
Must not: be imported by the package itself.
"""

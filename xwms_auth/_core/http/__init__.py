"""HTTP as a login sees it: requests, cookies, addresses, and what a browser says about itself."""

"""Sessions: lookup, revalidation, token refresh and revocation."""

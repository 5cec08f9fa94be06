"""Login protocols: the interface they implement, pending logins, and XWMS's own protocol."""
